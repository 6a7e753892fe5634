//! A CI that has no account: the query API as it is published, with jobs of a test's own, and everything that goes wrong
//! with an API.
//!
//! Its answers are those that the vendor publishes, with made-up buckets and ids (`job.xml`, `tasks.xml`, `topology.xml`).
//! It checks signatures with `authorization`, which the vendor's own vectors hold.

#![allow(dead_code, reason = "two test programs use it, each in part")]

mod http;
mod world;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) use world::Job;
use world::World;

/// The key that the fake knows.
pub(crate) const SECRET_ID: &str = "AKIDtest";
pub(crate) const SECRET_KEY: &str = "a-key-that-nobody-prints";
/// The bucket whose jobs it has.
pub(crate) const BUCKET: &str = "media-1300000001";
pub(crate) const REGION: &str = "ap-beijing";

/// What goes wrong with an answer.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A status without a body, and `Retry-After` where there is one.
    Busy(u16, Option<u32>),
    /// COS's error.
    Refused(u16, &'static str, &'static str),
    /// Another place.
    Redirected,
    /// Half of what its length says.
    Cut,
    /// Half of the document, whole as HTTP.
    CutXml,
    /// More than anybody should read.
    Oversized,
    /// Nothing at all, for so long.
    Slow(Duration),
    /// As if it knew no such job yet.
    NotYet,
    /// The same NextToken with each page, and all jobs behind the seventh on those that follow.
    Circle,
    /// Another NextToken with each page, and no jobs.
    Endless,
}

/// The fake; it goes with the test.
pub(crate) struct FakeCi {
    address: SocketAddr,
    is_tls: bool,
    world: Arc<Mutex<World>>,
    folder: tempfile::TempDir,
}

impl FakeCi {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// One that speaks TLS with these, as the real one does.
    pub(crate) fn start_tls(tls: Arc<ServerConfig>) -> Self {
        Self::start_with(Some(tls))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_tls, world) = (tls.is_some(), Arc::new(Mutex::new(World::default())));
        let shared = Arc::clone(&world);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.lock().expect("no test panics with it").connections += 1;
                let (world, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || match tls {
                    Some(tls) => {
                        let session = ServerConnection::new(tls).expect("a configuration that serves");
                        http::serve(StreamOwned::new(session, stream), &world);
                    }
                    None => http::serve(stream, &world),
                });
            }
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fake = Self { address, is_tls, world, folder };
        fake.write_keys(SECRET_ID, SECRET_KEY);
        fake
    }

    /// The sections of a configuration that asks it, with further lines of `[reconcile]`.
    pub(crate) fn configuration(&self, reconcile: &str) -> String {
        format!(
            "[tencent]\nendpoint = \"{}://{}\"\ncredentials_file = {:?}\nrequests_per_second = 100\n\n\
             [reconcile]\nbuckets = [\"{BUCKET}@{REGION}\"]\n{reconcile}\n",
            if self.is_tls { "https" } else { "http" },
            self.address,
            self.folder.path().join("keys.toml")
        )
    }

    /// What the file of credentials holds from now on.
    pub(crate) fn write_keys(&self, id: &str, key: &str) {
        let text = format!("secret_id = {id:?}\nsecret_key = {key:?}\n");
        std::fs::write(self.folder.path().join("keys.toml"), text).expect("the keys are written");
    }

    pub(crate) fn add(&self, job: Job) {
        self.add_all([job]);
    }

    pub(crate) fn add_all(&self, jobs: impl IntoIterator<Item = Job>) {
        self.lock().add(jobs);
    }

    /// The next so many questions for a path that begins so are answered with this.
    pub(crate) fn fail(&self, path: &str, fault: Fault, times: usize) {
        self.lock().faults.push((path.to_owned(), fault, times));
    }

    pub(crate) fn forgive(&self) {
        self.lock().faults.clear();
    }

    /// Its clock is so many seconds ahead of ours.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.lock().clock = ahead;
    }

    /// A queue that is told to call this URL, or is not (`Off`), for these events.
    pub(crate) fn add_queue(&self, url: &str, state: &'static str, events: &'static str) {
        self.lock().queues.push((url.replace('&', "&amp;"), state, events));
    }

    /// How many questions for paths that begin so have come.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.lock().asked.iter().filter(|asked| asked.starts_with(path)).count()
    }

    /// How many connections were opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().expect("no test panics with it")
    }
}
