//! What can be typed: pairs of a name and a value.

use std::time::Duration;

use ci_bridge_bench::workload::Workload;

const USAGE: &str = "usage: load --url http://HOST:PORT/PATH [--workload xml|json|jobs:N|moderation:BYTES|subjects:N] \
[--connections N] [--seconds S] [--warmup S] [--rate CALLBACKS_A_SECOND] [--pid OF_THE_SERVER] [--run N]";

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) workload: Workload,
    pub(crate) connections: usize,
    pub(crate) measured: Duration,
    pub(crate) warmup: Duration,
    /// Callbacks a second, sent when their time has come, whatever is unanswered; none: as fast as answers come.
    pub(crate) rate: Option<f64>,
    /// Whose CPU time and memory is measured.
    pub(crate) pid: Option<u32>,
    /// Keeps the ids of several runs against one stream apart.
    pub(crate) run: u64,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            host: String::new(),
            path: String::new(),
            workload: Workload::Xml,
            connections: 64,
            measured: Duration::from_secs(3),
            warmup: Duration::from_millis(500),
            rate: None,
            pid: None,
            run: 0,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or(USAGE)?;
            arguments.set(&name, &value).map_err(|error| format!("{name} {value}: {error}\n{USAGE}"))?;
        }
        if arguments.host.is_empty() { Err(USAGE.to_owned()) } else { Ok(arguments) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--url" => {
                let rest = value.strip_prefix("http://").ok_or("http:// is all it speaks")?;
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                (self.host, self.path) = (host.to_owned(), format!("/{path}"));
            }
            "--workload" => self.workload = value.parse()?,
            "--connections" => self.connections = number(value)?,
            "--seconds" => self.measured = seconds(value)?,
            "--warmup" => self.warmup = seconds(value)?,
            "--rate" => self.rate = Some(number(value)?),
            "--pid" => self.pid = Some(number(value)?),
            "--run" => self.run = number(value)?,
            _ => return Err("unknown".to_owned()),
        }
        Ok(())
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| "not a number".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(text)?).map_err(|error| error.to_string())
}
