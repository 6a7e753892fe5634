//! `ci-bridge init`: a configuration to begin with, and a secret. Asks nothing, and writes over nothing.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;

use clap::Args;
use tokio_rustls::rustls::crypto::ring;

use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file to write, which must not exist; `-` is standard output
    #[arg(value_name = "FILE", default_value = "ci-bridge.toml")]
    file: PathBuf,
    /// Also make a secret, in a file beside it that only its owner reads
    #[arg(long)]
    token: bool,
}

/// What the file says, but for the line of the secret.
const MINIMAL: &str = include_str!("minimal.toml");
/// Stands in [`MINIMAL`] for that line.
const TOKENS_FILE: &str = "@tokens_file@";
/// Of a secret: as many as a key of AES-256 has.
const SECRET_BYTES: usize = 32;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { file, token } = arguments;
    if file.as_os_str() == "-" {
        if *token {
            let message = "--token writes a file beside the configuration: name one instead of `-`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message).into());
        }
        io::stdout().lock().write_all(with_tokens(None).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let tokens = if *token { Some(absolute(file.with_extension("tokens"))?) } else { None };
    if let Some(tokens) = &tokens {
        create(tokens, 0o600, &format!("{}\n", secret()?))?;
    }
    let written = create(file, 0o644, &with_tokens(tokens.as_deref()));
    if let (Err(_), Some(tokens)) = (&written, &tokens) {
        // Without the configuration nobody would know what it is for.
        let _ = fs::remove_file(tokens);
    }
    written?;
    io::stdout().lock().write_all(next_steps(file, tokens.as_deref()).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn with_tokens(tokens: Option<&Path>) -> String {
    let line = match tokens {
        // A TOML string has the escapes that Rust's has, as far as a path needs any.
        Some(tokens) => format!("tokens_file = {:?}", tokens.display().to_string()),
        None => "#tokens_file = \"/etc/ci-bridge/ci-bridge.tokens\"".to_owned(),
    };
    MINIMAL.replace(TOKENS_FILE, &line)
}

fn create(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let explain = |e: io::Error| {
        let reason = match e.kind() {
            io::ErrorKind::AlreadyExists => "it exists, and nothing is written over".to_owned(),
            io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
            _ => e.to_string(),
        };
        io::Error::new(e.kind(), format!("cannot write {}: {reason}", path.display()))
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(explain)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(explain)
}

/// As hexadecimal digits, which a URL takes as they are.
fn secret() -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    let unavailable = |_| io::Error::other("the system has no random numbers to give");
    ring::default_provider().secure_random.fill(&mut bytes).map_err(unavailable)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to memory has no way to fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn next_steps(file: &Path, tokens: Option<&Path>) -> String {
    let name = file.display();
    let mut text = format!("written: {name}\n");
    if let Some(tokens) = tokens {
        let _ = writeln!(
            text,
            "written: {} (the callback URL ends in /ci/callback/<its line>)",
            tokens.display()
        );
    }
    let _ = write!(
        text,
        "next:    ci-bridge check -c {name} --connect\n         ci-bridge serve -c {name}\n         ci-bridge send --sample noise-reduction{}\n",
        match tokens {
            Some(tokens) =>
                format!(" --url \"http://127.0.0.1:8080/ci/callback/$(cat {})\"", tokens.display()),
            None => String::new(),
        }
    );
    text
}
