//! `ci-bridge send`: a callback as the vendor would send it, and the bridge's answer.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use bytes::Bytes;
use clap::Args;

use super::answer::Explained;
use super::printer::{Form, Printer};
use super::quarantine::TargetArgs;
use super::render::{body_of_capture, read};
use super::samples::{SAMPLES, Sample};
use crate::config::Config;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Files with callback bodies; `-` reads standard input
    #[arg(value_name = "FILE", required_unless_present = "sample", conflicts_with = "sample")]
    files: Vec<PathBuf>,
    /// A callback of our own making
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(SAMPLES.iter().map(Sample::help)))]
    sample: Option<String>,
    /// The endpoint of the configuration, whose path and first token are used; the first one unless named
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    endpoint: Option<String>,
    /// The answers as they come, one a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: &Arguments, config: &Config) -> Result<ExitCode, Failure> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let target = args.target.chosen(args.endpoint.as_deref(), config).map_err(invalid)?;
    let sample = args.sample.as_deref().and_then(|name| SAMPLES.iter().find(|sample| sample.name == name));
    let mut bodies: Vec<(String, Bytes)> =
        sample.iter().map(|s| (s.name.to_owned(), Bytes::from_static(s.body.as_bytes()))).collect();
    for file in &args.files {
        bodies.push((file.display().to_string(), Bytes::copy_from_slice(body_of_capture(&read(file)?))));
    }
    let printer = Printer::new(Form::Lines);
    let mut accepted = true;
    super::runtime()?.block_on(async {
        for (name, body) in bodies {
            let started = Instant::now();
            let answered = super::or_say(target.post(body), || "waiting for the answer".to_owned()).await?;
            let took = started.elapsed().as_secs_f64() * 1000.0;
            accepted &= answered.status == 200;
            let mut stdout = io::stdout().lock();
            if args.json {
                stdout.write_all(&answered.body)?;
                writeln!(stdout)?;
                continue;
            }
            let explained = Explained::of(&answered, &printer)?;
            writeln!(stdout, "{name}: {} ({took:.1} ms)", explained.verdict)?;
            explained.messages.iter().try_for_each(|line| writeln!(stdout, "{line}"))?;
        }
        Ok::<_, io::Error>(())
    })?;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
