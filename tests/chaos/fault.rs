//! What can go wrong: each fault strikes, holds for a moment, and is healed before the next.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::broker::{Account, SMALL_PAYLOAD};
use crate::process::within;
use crate::proxy::Mode;
use crate::random::Random;
use crate::stage::Stage;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    KillNats,
    TerminateNats,
    FreezeNats,
    KillBridge,
    TerminateBridge,
    TerminateBridgeWhileNatsIsFrozen,
    KillBoth,
    CutConnections,
    HalfOpen,
    LoseAcknowledgements,
    Delay,
    SmallPayload,
    FullStream,
    FullSpool,
    SmallAccountPayload,
    ForbiddenSubject,
    RotatedPassword,
    NarrowedStream,
    UnacknowledgedStream,
    SealedAndDeletedStream,
}

/// The smallest spool that this `max_body` allows: a second of load fills it.
const TINY_SPOOL: [(&str, &str); 2] =
    [("CI_BRIDGE__SPOOL__MAX_BYTES", "256KiB"), ("CI_BRIDGE__INGRESS__MAX_BODY", "256KiB")];

const FULL_WITHIN: Duration = Duration::from_secs(10);

impl Fault {
    pub(crate) const ALL: [Self; 20] = [
        Self::KillNats,
        Self::TerminateNats,
        Self::FreezeNats,
        Self::KillBridge,
        Self::TerminateBridge,
        Self::TerminateBridgeWhileNatsIsFrozen,
        Self::KillBoth,
        Self::CutConnections,
        Self::HalfOpen,
        Self::LoseAcknowledgements,
        Self::Delay,
        Self::SmallPayload,
        Self::FullStream,
        Self::FullSpool,
        Self::SmallAccountPayload,
        Self::ForbiddenSubject,
        Self::RotatedPassword,
        Self::NarrowedStream,
        Self::UnacknowledgedStream,
        Self::SealedAndDeletedStream,
    ];

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::KillNats => "kill -9 nats-server",
            Self::TerminateNats => "SIGTERM nats-server",
            Self::FreezeNats => "SIGSTOP nats-server",
            Self::KillBridge => "kill -9 ci-bridge",
            Self::TerminateBridge => "SIGTERM ci-bridge under load",
            Self::TerminateBridgeWhileNatsIsFrozen => "SIGTERM ci-bridge, nats-server frozen",
            Self::KillBoth => "kill -9 both",
            Self::CutConnections => "connections cut",
            Self::HalfOpen => "connection half-open",
            Self::LoseAcknowledgements => "acknowledgements lost after the store",
            Self::Delay => "slow network",
            Self::SmallPayload => "nats-server back with a smaller max_payload",
            Self::FullStream => "stream full",
            Self::FullSpool => "spool full, nats-server away",
            Self::SmallAccountPayload => "account with a smaller max_payload, told late",
            Self::ForbiddenSubject => "one subject forbidden",
            Self::RotatedPassword => "password replaced",
            Self::NarrowedStream => "stream without one of its subjects",
            Self::UnacknowledgedStream => "stream that acknowledges nothing",
            Self::SealedAndDeletedStream => "stream sealed, then deleted",
        }
    }

    /// Every kind once, in random order, and so on.
    pub(crate) fn sequence(mut random: Random) -> impl Iterator<Item = Self> {
        let mut left = Vec::new();
        std::iter::repeat_with(move || {
            if left.is_empty() {
                left = Self::ALL.to_vec();
            }
            let at = random.below(left.len() as u64);
            left.swap_remove(usize::try_from(at).unwrap_or(0))
        })
    }

    pub(crate) fn strike(self, stage: &mut Stage, random: &mut Random) {
        match self {
            Self::KillNats => {
                stage.broker.kill();
                hold(random, 0, 1000);
                stage.broker.restart("");
            }
            Self::TerminateNats => {
                stage.broker.terminate();
                hold(random, 0, 500);
                stage.broker.restart("");
            }
            Self::FreezeNats => freeze(stage, random),
            Self::KillBridge => {
                stage.kill_bridge();
                hold(random, 0, 300);
                stage.restart_bridge(&[]);
            }
            Self::TerminateBridge => {
                stage.terminate_bridge();
                stage.restart_bridge(&[]);
            }
            Self::TerminateBridgeWhileNatsIsFrozen => terminate_while_frozen(stage, random),
            Self::KillBoth => kill_both(stage, random),
            Self::CutConnections => {
                for _ in 0..=random.below(3) {
                    stage.broker.proxy.cut();
                    hold(random, 0, 200);
                }
            }
            Self::HalfOpen => half_open(stage, random),
            Self::LoseAcknowledgements => {
                stage.broker.proxy.set(Mode::LoseAnswers);
                hold(random, 300, 1500);
                stage.broker.proxy.set(Mode::Pass);
                stage.broker.proxy.cut();
            }
            Self::Delay => {
                stage.broker.proxy.set(Mode::Delay(random.millis(20, 400)));
                hold(random, 500, 1000);
                stage.broker.proxy.set(Mode::Pass);
            }
            Self::SmallPayload => small_payload(stage, random),
            Self::FullStream => {
                stage.broker.fill_stream(true);
                hold(random, 300, 1200);
                stage.broker.fill_stream(false);
            }
            Self::FullSpool => full_spool(stage, random),
            Self::SmallAccountPayload => other_account(Account::SmallPayload, self, stage, random),
            Self::ForbiddenSubject => other_account(Account::ForbiddenSubject, self, stage, random),
            Self::RotatedPassword => rotated_password(stage, random),
            Self::NarrowedStream => {
                stage.wait_until_ready();
                let others =
                    ["NoiseReduction", "Transcode", "MediaInfo"].map(|tag| format!("ci.task.{tag}.*"));
                stage.broker.change_stream(&json!({ "subjects": others }));
                stage.others_go_on(self.describe());
                hold(random, 300, 1200);
                stage.others_go_on(self.describe());
                stage.broker.change_stream(&json!({ "subjects": ["ci.>"] }));
            }
            Self::UnacknowledgedStream => {
                stage.broker.change_stream(&json!({ "no_ack": true }));
                hold(random, 500, 2500);
                stage.broker.change_stream(&json!({ "no_ack": false }));
            }
            Self::SealedAndDeletedStream => {
                stage.broker.change_stream(&json!({ "sealed": true }));
                hold(random, 500, 1500);
                stage.broker.archive_and_delete_stream();
            }
        }
    }
}

/// One in four outlasts several acknowledgement timeouts.
fn freeze(stage: &Stage, random: &mut Random) {
    let frozen = stage.broker.freeze();
    let longest = if random.one_in(4) { 4000 } else { 1200 };
    hold(random, 200, longest);
    drop(frozen);
}

/// Requests wait for their acknowledgement when SIGTERM comes.
fn terminate_while_frozen(stage: &mut Stage, random: &mut Random) {
    let frozen = stage.broker.freeze();
    hold(random, 150, 600);
    stage.terminate_bridge();
    drop(frozen);
    stage.restart_bridge(&[]);
}

fn kill_both(stage: &mut Stage, random: &mut Random) {
    stage.broker.kill();
    hold(random, 0, 200);
    stage.kill_bridge();
    if random.one_in(2) {
        stage.restart_bridge(&[]);
        hold(random, 0, 500);
        stage.broker.restart("");
    } else {
        stage.broker.restart("");
        stage.restart_bridge(&[]);
    }
}

fn half_open(stage: &Stage, random: &mut Random) {
    stage.broker.proxy.set(Mode::Hold);
    hold(random, 300, 2500);
    if random.one_in(2) {
        stage.broker.proxy.cut();
    }
    stage.broker.proxy.set(Mode::Pass);
}

/// What was spooled meanwhile is drained to a server that does not take all of it.
fn small_payload(stage: &mut Stage, random: &mut Random) {
    stage.broker.kill();
    hold(random, 100, 500);
    stage.broker.restart(SMALL_PAYLOAD);
    hold(random, 500, 1000);
    stage.broker.kill();
    stage.broker.restart("");
}

/// Callbacks above the limit come all the while, at the head of what was spooled too.
fn other_account(account: Account, fault: Fault, stage: &mut Stage, random: &mut Random) {
    stage.broker.kill();
    hold(random, 100, 500);
    stage.broker.restart_as(account, "");
    stage.wait_until_connected();
    for _ in 0..3 {
        stage.others_go_on(fault.describe());
        hold(random, 100, 500);
    }
    stage.broker.kill();
    stage.broker.restart("");
}

/// Whichever side learns of the new password first.
fn rotated_password(stage: &mut Stage, random: &mut Random) {
    let password = stage.broker.choose_password();
    if random.one_in(2) {
        stage.bridge.set_password(&password);
        hold(random, 0, 500);
        stage.broker.restart("");
    } else {
        stage.broker.restart("");
        hold(random, 200, 1500);
        stage.bridge.set_password(&password);
    }
}

fn full_spool(stage: &mut Stage, random: &mut Random) {
    stage.terminate_bridge();
    stage.broker.kill();
    stage.restart_bridge(&TINY_SPOOL);
    let before = stage.ledger.answers("503");
    let full = || (stage.ledger.answers("503") > before).then_some(());
    if within(FULL_WITHIN, full).is_none() {
        stage.ledger.book().violation("a spool of 256 KiB took all that came".to_owned());
    }
    stage.broker.restart("");
    hold(random, 200, 600);
    stage.terminate_bridge();
    stage.restart_bridge(&[]);
}

/// How long a fault lasts is part of the fault.
pub(crate) fn hold(random: &mut Random, from: u64, to: u64) {
    let time: Duration = random.millis(from, to);
    thread::sleep(time);
}
