//! What can be typed after `cargo xtask bench`, and what xtask adds: where things are.

use std::path::PathBuf;

use ci_bridge_bench::workload::Workload;

use crate::Failure;
use crate::contender::Contender;

/// `cargo xtask bench --help` prints it too, without building anything.
const USAGE: &str = include_str!("usage.txt");

/// The callbacks that are measured unless told otherwise.
const WORKLOADS: [Workload; 5] = [
    Workload::Xml,
    Workload::Json,
    Workload::Jobs(64),
    Workload::Moderation(200_000),
    Workload::Moderation(5_000_000),
];

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) write: bool,
    pub(crate) curves: bool,
    /// The program that is measured.
    pub(crate) bridge: PathBuf,
    pub(crate) nats_server: PathBuf,
    /// The repository.
    pub(crate) root: PathBuf,
    /// Where servers keep their files while they run, and peers are installed.
    pub(crate) work: PathBuf,
}

impl Options {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self {
            rounds: 5,
            seconds: 1.5,
            contenders: Vec::new(),
            workloads: Vec::new(),
            write: false,
            curves: false,
            bridge: PathBuf::new(),
            nats_server: std::env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into()).into(),
            root: PathBuf::from("."),
            work: PathBuf::from("target/bench"),
        };
        options.read(words).map_err(|error| format!("{error}\n\n{USAGE}"))?;
        options.complete();
        Ok(options)
    }

    fn read(&mut self, mut words: impl Iterator<Item = String>) -> Result<(), String> {
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => self.rounds = number(&value()?)?,
                "--seconds" => self.seconds = number(&value()?)?,
                "--quick" => (self.rounds, self.seconds) = (1, 1.0),
                "--only" => self.contenders.push(value()?.parse()?),
                "--workload" => self.workloads.push(value()?.parse()?),
                "--write" => self.write = true,
                "--curves" => self.curves = true,
                "--bridge" => self.bridge = value()?.into(),
                "--root" => self.root = value()?.into(),
                "--work" => self.work = value()?.into(),
                _ => return Err(format!("there is no '{word}'")),
            }
        }
        Ok(())
    }

    /// The floors are what everything is a ratio of.
    fn complete(&mut self) {
        if self.contenders.is_empty() {
            self.contenders = Contender::ALL.to_vec();
        }
        for floor in [Contender::Acknowledged, Contender::Message] {
            if !self.contenders.contains(&floor) {
                self.contenders.push(floor);
            }
        }
        if self.workloads.is_empty() {
            self.workloads = WORKLOADS.to_vec();
        }
        self.rounds = self.rounds.max(1);
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}
