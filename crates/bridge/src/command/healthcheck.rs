//! `ci-bridge healthcheck`: one GET to the admin listener of a bridge with the same configuration. An image from scratch
//! has no other program that could ask.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ci_bridge_publisher::Check;
use clap::Args;
use serde_json::Value;

use crate::config;
use crate::failure::{Failure, say};

/// From the first packet to the end of the answer. Whoever asks, asks again in seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The answer is a few hundred bytes; whatever else listens there may send for ever.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What is asked.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// Ask /readyz instead of /livez: whether everything is as it should be
    #[arg(long)]
    ready: bool,
    /// Ask /readyz/NAME instead: whether this one check holds; `accepting` says whether callbacks are answered 200
    #[arg(long, value_name = "NAME", conflicts_with = "ready", value_parser = Check::NAMES)]
    check: Option<String>,
}

impl Question {
    fn path(&self) -> String {
        match (&self.check, self.ready) {
            (Some(check), _) => format!("/readyz/{check}"),
            (None, true) => "/readyz".to_owned(),
            (None, false) => "/livez".to_owned(),
        }
    }
}

/// Exit 0 when the answer is 200; else 1, with a sentence. Never another code: 2 is reserved by container engines.
pub(crate) fn run(file: Option<&Path>, question: &Question) -> Result<ExitCode, Failure> {
    let path = question.path();
    let asked = config::admin_listen(file).map_err(|error| error.to_string());
    match asked.and_then(|listen| ask(reachable(listen)?, &path)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(sentence) => {
            say(&sentence);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A metric of the bridge that answers there, if one does.
pub(super) fn metric(listen: SocketAddr, name: &str) -> Option<u64> {
    let answer = get(reachable(listen).ok()?, "/metrics").ok()?;
    let text = String::from_utf8_lossy(&answer);
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// A listener on every address is asked on loopback.
pub(super) fn reachable(listen: SocketAddr) -> Result<SocketAddr, String> {
    if listen.port() == 0 {
        return Err("admin.listen has port 0: which port was taken is not known here".to_owned());
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

fn ask(address: SocketAddr, path: &str) -> Result<(), String> {
    let answer = get(address, path).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("{address} (admin.listen) does not answer within {} s", ANSWER_TIMEOUT.as_secs())
        }
        _ => format!("{address} (admin.listen) does not answer: {error}"),
    })?;
    verdict(&answer, path)
}

fn get(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let agent = concat!("ci-bridge-healthcheck/", env!("CARGO_PKG_VERSION"));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while answer.len() < MAX_ANSWER_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

fn verdict(answer: &[u8], path: &str) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    match status {
        Some("200") => Ok(()),
        Some(status) => Err(reasons(body)
            .map_or_else(|| format!("{path} answers {status}"), |why| format!("not ready: {why}"))),
        None => Err("what answers at admin.listen is no ci-bridge".to_owned()),
    }
}

/// What `/readyz` says of the checks that do not hold, or one of them of itself.
fn reasons(body: &str) -> Option<String> {
    let readiness: Value = serde_json::from_str(body).ok()?;
    if readiness.get("ok").is_some() {
        return readiness["detail"].as_str().map(str::to_owned);
    }
    let failed = readiness.get("checks")?.as_array()?.iter().filter(|check| check["ok"] == false);
    let details: Vec<_> = failed.filter_map(|check| check["detail"].as_str()).collect();
    (!details.is_empty()).then(|| details.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_ask() {
        for (listen, expect) in [
            ("127.0.0.1:9090", Some("127.0.0.1:9090")),
            ("0.0.0.0:9091", Some("127.0.0.1:9091")),
            ("[::]:9090", Some("[::1]:9090")),
            ("10.1.2.3:9090", Some("10.1.2.3:9090")),
            ("127.0.0.1:0", None),
        ] {
            let found = reachable(listen.parse().unwrap()).ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expect, "{listen}");
        }
    }

    #[test]
    fn what_is_said_of_an_answer() {
        let not_ready = r#"{"ready":false,"checks":[{"name":"nats","ok":false,"detail":"not connected"},
            {"name":"spool","ok":true,"detail":"room"},{"name":"writes","ok":false,"detail":"unknown"}]}"#;
        for (head, body, expect) in [
            ("HTTP/1.1 200 OK", "{}", Ok(())),
            ("HTTP/1.1 503 Service Unavailable", not_ready, Err("not ready: not connected; unknown")),
            (
                "HTTP/1.1 503 Service Unavailable",
                r#"{"name":"accepting","ok":false,"detail":"no room"}"#,
                Err("not ready: no room"),
            ),
            ("HTTP/1.1 503 Service Unavailable", "", Err("/readyz answers 503")),
            ("HTTP/1.1 404 Not Found", "no", Err("/readyz answers 404")),
            ("SSH-2.0-OpenSSH_9.2", "", Err("what answers at admin.listen is no ci-bridge")),
            ("", "", Err("what answers at admin.listen is no ci-bridge")),
        ] {
            let answer = format!("{head}\r\nContent-Type: application/json\r\n\r\n{body}");
            assert_eq!(verdict(answer.as_bytes(), "/readyz"), expect.map_err(str::to_owned), "{head}");
        }
    }
}
