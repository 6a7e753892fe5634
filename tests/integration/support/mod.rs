//! Starts the programs under test, and looks at them from outside.

mod bridge;
mod browser;
mod certificates;
#[cfg(feature = "otlp")]
mod collector;
mod events;
mod http;
mod large;
mod streams;
mod stub;
mod tools;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;

pub(crate) use bridge::{Bridge, ci_bridge, run};
pub(crate) use browser::browser;
pub(crate) use certificates::Authority;
pub(crate) use ci_bridge::local_nats::{LocalNats, ReservedPort};
#[cfg(feature = "otlp")]
pub(crate) use collector::{Collector, Mood, Span};
pub(crate) use events::Events;
pub(crate) use http::{Answer, Connection, request};
pub(crate) use large::{moderation, rendered, sentences, speech};
pub(crate) use streams::{Stored, Streams};
pub(crate) use stub::Stub;
pub(crate) use tools::Tool;

/// Long enough for a busy machine; what takes this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A nats-server of the test's own.
pub(crate) fn nats() -> LocalNats {
    LocalNats::start("").expect("cargo xtask test provides a nats-server")
}

/// A nats-server whose only user may publish nothing on these subjects, and that user's URL.
pub(crate) fn nats_forbidding(subjects: &[&str]) -> (LocalNats, String) {
    let denied = format!("permissions: {{ publish: {{ deny: {subjects:?} }} }}");
    let nats =
        LocalNats::start(&format!("authorization {{ users: [{{ user: b, password: p, {denied} }}] }}"))
            .expect("cargo xtask test provides a nats-server");
    let url = nats.url().replace("nats://", "nats://b:p@");
    (nats, url)
}

/// A nats-server that is down, whose stream takes no message above 1000 bytes.
pub(crate) fn nats_with_a_small_stream() -> LocalNats {
    let mut nats = nats();
    let streams = Streams::of(&nats);
    streams.create(Config {
        name: "CI".into(),
        subjects: vec!["ci.>".into()],
        max_message_size: 1000,
        ..Config::default()
    });
    drop(streams);
    nats.kill().expect("nats-server can be killed");
    nats
}

/// Whether the bridge sends this server `Nats-Expected-Stream`: mirrors of older ones would lose the message.
pub(crate) fn is_told_the_stream(nats: &LocalNats) -> bool {
    let version = nats.version().unwrap();
    let numbers =
        version.rsplit('v').next().unwrap_or_default().split('.').map(|number| number.parse().unwrap_or(0));
    numbers.collect::<Vec<u32>>() >= vec![2, 11, 5]
}

/// Waits until `condition` gives a value.
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, condition)
}

/// The same, for what takes long on a busy machine.
pub(crate) fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// A task callback with a job id of its own.
pub(crate) fn task(job_id: &str) -> String {
    task_with(job_id, "NoiseReduction", "Success")
}

pub(crate) fn task_with(job_id: &str, tag: &str, state: &str) -> String {
    format!(
        "<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>{job_id}</JobId><Tag>{tag}</Tag>\
         <State>{state}</State><Input><BucketId>media-1300000001</BucketId><Object>in/{job_id}.mp3</Object></Input>\
         </JobsDetail></Response>"
    )
}

/// A folder or file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Sends a signal to a process that the test started.
pub(crate) fn signal(name: &str, id: u32) {
    let status = std::process::Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
    assert!(status.expect("kill runs").success(), "kill -{name} {id}");
    if name == "STOP" && cfg!(target_os = "linux") {
        eventually("stopped", || threads_are_stopped(id)?.then_some(()));
    }
}

/// A thread that runs when the signal is sent goes on for a moment, long enough to answer.
fn threads_are_stopped(id: u32) -> Option<bool> {
    let mut threads = std::fs::read_dir(format!("/proc/{id}/task")).ok()?;
    let is_stopped = |thread: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        // The state follows the name, which is in parentheses and may hold anything.
        Some(stat.rsplit_once(") ")?.1.starts_with('T'))
    };
    Some(threads.all(|thread| thread.ok().and_then(is_stopped) == Some(true)))
}
