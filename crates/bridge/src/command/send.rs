//! `ci-bridge send`: a callback as the vendor would send it, and the bridge's answer.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;

use super::post::Target;
use super::render::body_of_capture;
use super::samples::{SAMPLES, Sample};
use crate::cli::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Files with callback bodies
    #[arg(value_name = "FILE", required_unless_present = "sample", conflicts_with = "sample")]
    files: Vec<PathBuf>,
    /// A callback of our own making
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(SAMPLES.iter().map(Sample::help)))]
    sample: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &Arguments) -> Result<ExitCode, Failure> {
    let sample = args.sample.as_deref().and_then(|name| SAMPLES.iter().find(|sample| sample.name == name));
    let mut bodies: Vec<(String, Bytes)> =
        sample.iter().map(|s| (s.name.to_owned(), Bytes::from_static(s.body.as_bytes()))).collect();
    for file in &args.files {
        let bytes =
            std::fs::read(file).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
        bodies.push((file.display().to_string(), Bytes::copy_from_slice(body_of_capture(&bytes))));
    }
    let mut accepted = true;
    super::runtime()?.block_on(async {
        for (name, body) in bodies {
            let answered = args.target.post(body).await?;
            accepted &= answered.status == 200;
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{name}: {} {}", answered.status, String::from_utf8_lossy(&answered.body))?;
        }
        Ok::<_, io::Error>(())
    })?;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
