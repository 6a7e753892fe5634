//! A nats-server with its streams, new for each contender, so that none pays for what another left.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::Failure;
use crate::affinity::{self, Side};

const START_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// The oldest messages go beyond this: a minute of the fastest contender would be gigabytes.
const MAX_BYTES: i64 = 1 << 30;
/// Longer than any run, and less than the bridge would ask for: ids cost the server memory.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Nats {
    child: Child,
    url: String,
    bus: Context,
    runtime: Runtime,
    _dir: TempDir,
}

impl Nats {
    /// Starts on a free port, or on one that was set aside, and makes the streams.
    pub(crate) fn start(program: &Path, work: &Path, port: Option<u16>) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("nats-").tempdir_in(work)?;
        let port = port.map_or_else(free_port, Ok)?;
        let config = dir.path().join("nats.conf");
        let store = dir.path().join("jetstream");
        fs::write(&config, format!("listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?} }}\n"))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = affinity::spawn(&mut command, Side::Others)?;
        let url = format!("nats://127.0.0.1:{port}");
        let runtime = Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(connect_and_create(&url)) {
            Ok(bus) => Ok(Self { child, url, bus, runtime, _dir: dir }),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                Err(format!("{}: {error}", program.display()).into())
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Empties the stream, so that the next measurement does not pay for removing what this one stored.
    pub(crate) fn purge(&self) -> Result<(), Failure> {
        self.runtime.block_on(async {
            self.bus.get_stream("CI").await?.purge().await?;
            Ok(())
        })
    }

    /// The sequence of the last message that was stored.
    pub(crate) fn stored(&self) -> Result<u64, Failure> {
        self.runtime
            .block_on(async { Ok(self.bus.get_stream("CI").await?.info().await?.state.last_sequence) })
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // Nobody is left to tell, and its files go next.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free at this moment; between here and nats-server's start another program could take it, and the start would fail.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn connect_and_create(url: &str) -> Result<Context, Failure> {
    let deadline = Instant::now() + START_TIMEOUT;
    let client = loop {
        match async_nats::connect(url).await {
            Ok(client) => break client,
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    };
    let bus = jetstream::new(client);
    for (name, subjects) in [("CI", "ci.>"), ("CI_QUARANTINE", "ci-quarantine.>")] {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_bytes: MAX_BYTES,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        };
        // A bridge that waited for this server may have made them already, with its own limits.
        bus.create_or_update_stream(config).await?;
    }
    Ok(bus)
}
