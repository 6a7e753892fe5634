//! A nats-server with its streams, new for each contender, so that none pays for what another left.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
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

/// The stream of the bridge's object store, and the names of its objects.
const OBJECTS: &str = "OBJ_CI_LARGE";
const OBJECT_NAMES: &str = "$O.CI_LARGE.M.>";
/// Room for what the fastest contender writes in a run.
const OBJECTS_MAX_BYTES: i64 = 8 << 30;

/// How much is in NATS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// The sequence of the last message.
    pub(crate) messages: u64,
    /// Objects that are there now.
    pub(crate) objects: u64,
}

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

    /// Empties the streams, so that the next measurement does not pay for removing what this one stored.
    pub(crate) fn purge(&self) -> Result<(), Failure> {
        self.runtime.block_on(async {
            for name in ["CI", OBJECTS] {
                self.bus.get_stream(name).await?.purge().await?;
            }
            Ok(())
        })
    }

    /// What was stored since the server started.
    pub(crate) fn stored(&self) -> Result<Stored, Failure> {
        self.runtime.block_on(async {
            let messages = self.bus.get_stream("CI").await?.info().await?.state.last_sequence;
            let mut objects = self.bus.get_stream(OBJECTS).await?.info_with_subjects(OBJECT_NAMES).await?;
            let mut names = 0;
            while let Some(name) = objects.next().await {
                name?;
                names += 1;
            }
            Ok(Stored { messages, objects: names })
        })
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
    let objects = Config {
        name: OBJECTS.to_owned(),
        subjects: vec!["$O.CI_LARGE.C.>".to_owned(), OBJECT_NAMES.to_owned()],
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_bytes: OBJECTS_MAX_BYTES,
        allow_rollup: true,
        allow_direct: true,
        ..Config::default()
    };
    bus.create_or_update_stream(objects).await?;
    Ok(bus)
}
