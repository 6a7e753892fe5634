//! Callbacks that never come: one in a hundred is not sent, as Tencent sends each once and a network is a network; more
//! meet a bridge that is down, and some a broker that is. After `ci-bridge reconcile` each job of the fake CI is in the
//! stream, once.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::bridge::Bridge;
use crate::broker::{Broker, USER};
use crate::fake_ci::{FakeCi, Job};
use crate::http::{Client, Exchange};
use crate::process::eventually;
use crate::random::Random;

/// Callbacks that are not sent, one in so many.
const DROPPED: u64 = 100;
const SENDERS: u64 = 4;
/// Past `reconcile.grace`.
const ENDED_AGO: i64 = 1800;

/// What became of the callbacks.
#[derive(Default)]
struct Sent {
    dropped: AtomicU64,
    taken: AtomicU64,
    /// Nobody answered, or not with 200: nobody sends it again.
    lost: AtomicU64,
}

/// Sends the callbacks of so many jobs, loses some, makes the account, and settles it.
pub(crate) fn run(jobs: u64, seed: u64) {
    let started = Instant::now();
    let ci = FakeCi::start();
    ci.add_all((0..jobs).map(|number| job(number, seed)));
    let mut broker = Broker::start();
    let mut bridge = Bridge::start(&broker);
    eventually("ready", || bridge.is_ready().then_some(()));
    let sent = Sent::default();
    let part = |number: u64| number * jobs / 10;
    send(&bridge, &sent, seed, 0..part(3));
    bridge.kill();
    send(&bridge, &sent, seed, part(3)..part(4));
    bridge.restart(&[]);
    eventually("ready again", || bridge.is_ready().then_some(()));
    send(&bridge, &sent, seed, part(4)..part(7));
    broker.kill();
    send(&bridge, &sent, seed, part(7)..part(8));
    broker.restart("");
    // Meanwhile the spool is published, which the account must not disturb.
    send(&bridge, &sent, seed, part(8)..jobs);

    let first = account(&ci, &broker);
    let again = account(&ci, &broker);
    eventually("the spool is empty", || (bridge.metric("ci_bridge_spool_messages") == 0).then_some(()));
    let mut copies: HashMap<String, u64> =
        (0..jobs).map(|number| (job(number, seed).message_id(), 0)).collect();
    let mut strange = 0;
    broker.read("CI", |stored| match copies.get_mut(&stored.id) {
        Some(copies) => *copies += 1,
        None => strange += 1,
    });
    let with = |wanted: fn(u64) -> bool| copies.values().filter(|copies| wanted(**copies)).count();
    let (missing, twice) = (with(|copies| copies == 0), with(|copies| copies > 1));
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "\n| seed {seed} | |\n|---|---:|\n| **jobs that ended** | **{jobs}** |\n| callbacks never sent | {} |\n\
         | callbacks that met nobody | {} |\n| callbacks answered 200 | {} |\n| **recovered by reconcile** | **{}** |\n\
         | recovered by a second account | {} |\n| missing / stored twice | {missing} / {twice} |\n| took | {:.0} s |",
        count(&sent.dropped),
        count(&sent.lost),
        count(&sent.taken),
        first["recovered"],
        again["recovered"],
        started.elapsed().as_secs_f64()
    );
    assert_eq!((missing, twice, strange), (0, 0, 0), "each job is there once");
    assert_eq!(again["recovered"], 0, "a second account publishes nothing");
    assert!(count(&sent.lost) >= jobs / 20, "the bridge was down");
    let unsent = count(&sent.dropped) + count(&sent.lost);
    let recovered = first["recovered"].as_u64().expect("a number");
    // A callback that was spooled, or whose answer was lost with the bridge, may be either.
    assert!(recovered <= unsent && recovered * 10 >= unsent * 9, "{recovered} of {unsent}");
}

fn job(number: u64, seed: u64) -> Job {
    let mut random = Random::new(seed.rotate_left(32) ^ number);
    if random.one_in(50) {
        return Job::run(format!("i{number}"), ENDED_AGO);
    }
    let tags = ["Transcode", "Snapshot", "NoiseReduction", "DocProcess"];
    let choice = random.below(4);
    Job::ended(format!("j{number}"), ENDED_AGO).with(|job| {
        job.tag = tags[usize::try_from(choice).unwrap_or_default()];
        job.state = if random.one_in(10) { "Failed" } else { "Success" };
    })
}

/// Posts each callback once, but for those that are dropped.
fn send(bridge: &Bridge, sent: &Sent, seed: u64, numbers: std::ops::Range<u64>) {
    let next = AtomicU64::new(numbers.start);
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let mut client = Client::new(bridge.address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let outcome = match Random::new(seed ^ number.rotate_left(17)).one_in(DROPPED) {
                        true => &sent.dropped,
                        false => match client.post(&job(number, seed).callback()) {
                            Exchange::Answered { answer, .. } if answer.status == 200 => &sent.taken,
                            _ => &sent.lost,
                        },
                    };
                    outcome.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

/// The totals of `ci-bridge reconcile --json`, as an operator runs it beside the bridge.
fn account(ci: &FakeCi, broker: &Broker) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("password"), broker.password()).expect("the password is written");
    let configuration = format!(
        "[nats]\nservers = [\"{}\"]\nuser = \"{USER}\"\npassword_file = \"password\"\n{}",
        broker.url(),
        ci.configuration(
            "tags = [\"Transcode\", \"Snapshot\", \"NoiseReduction\", \"DocProcess\", \"Workflow\"]"
        )
    );
    std::fs::write(folder.path().join("ci-bridge.toml"), configuration)
        .expect("the configuration is written");
    let output = Command::new(env!("CARGO_BIN_EXE_ci-bridge"))
        .env_clear()
        .args(["reconcile", "-c", "ci-bridge.toml", "--json"])
        .current_dir(folder.path())
        .output()
        .expect("ci-bridge runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(stdout.lines().last().unwrap_or_default()).expect("totals")
}
