//! `cargo xtask demo --reconcile`: callbacks that never come, and the account that makes up for them, with a throwaway
//! nats-server and a fake CI. It finds `ci-bridge` beside its own folder, where cargo builds it.

#![allow(clippy::print_stdout, reason = "it shows something, and is read by people")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ci_bridge::local_nats::LocalNats;

#[path = "../../../tests/fake_ci/mod.rs"]
mod fake_ci;

use fake_ci::{FakeCi, Job};

/// Until the bridge is ready.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Past `reconcile.grace`.
const ENDED_AGO: i64 = 1800;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let nats = LocalNats::start("")?;
    let ci = FakeCi::start();
    let configuration = format!(
        "[ingress]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[nats]\nservers = [\"{}\"]\n[log]\n\
         level = \"error\"\n\n{}",
        nats.url(),
        ci.configuration("")
    );
    std::fs::write(folder.path().join("ci-bridge.toml"), configuration)?;
    let jobs: Vec<_> = (1..=5).map(|number| Job::ended(format!("job{number}"), ENDED_AGO)).collect();
    let run = Job::run("run1", ENDED_AGO);
    ci.add_all(jobs.iter().cloned().chain([run, Job::ended("job6", 60)]));

    let mut bridge = start(folder.path())?;
    println!("CI has seven jobs and runs that ended. The callbacks of three of them arrive:");
    for job in &jobs[..3] {
        println!("  POST {}: {}", job.id, exchange(&bridge.1, "POST", "/ci/callback", &job.callback())?);
    }
    println!("\nThen the bridge goes, and comes back. Nobody sends the others again.");
    bridge.0.kill()?;
    bridge.0.wait()?;
    for arguments in [&["--dry-run"][..], &[], &[]] {
        println!(
            "\n$ ci-bridge reconcile{}",
            arguments.iter().map(|word| format!(" {word}")).collect::<String>()
        );
        let status = ci_bridge(folder.path())?
            .arg("reconcile")
            .args(["-c", "ci-bridge.toml"])
            .args(arguments)
            .status()?;
        println!("exit {}", status.code().unwrap_or(-1));
    }
    Ok(())
}

fn ci_bridge(folder: &Path) -> Result<Command, Box<dyn Error>> {
    let own: PathBuf = std::env::current_exe()?;
    let program =
        own.parent().and_then(Path::parent).ok_or("cargo builds examples in a folder of their own")?;
    let mut command = Command::new(program.join("ci-bridge"));
    command.current_dir(folder);
    Ok(command)
}

/// The bridge, and where it takes callbacks.
fn start(folder: &Path) -> Result<(Child, String), Box<dyn Error>> {
    let mut bridge =
        ci_bridge(folder)?.args(["serve", "-c", "ci-bridge.toml"]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(bridge.stdout.take().ok_or("its output is piped")?).read_line(&mut line)?;
    let mut addresses = line.split("http://").skip(1).filter_map(|rest| rest.split([',', '\n']).next());
    let (address, admin) = addresses.next().zip(addresses.next()).ok_or("no ready line")?;
    while !exchange(admin, "GET", "/readyz", "")?.starts_with("200") {
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok((bridge, address.to_owned()))
}

/// The status and the body of an answer.
fn exchange(address: &str, method: &str, path: &str, body: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok(format!("{status} {body}"))
}
