//! Whose trouble a failure is, and for how long.

use super::*;
use crate::id::MessageId;
use crate::message::{Headers, MessageKind};
use crate::subject::Subject;

fn message(stream: &str, subject: &str) -> Message {
    Message {
        subject: Subject::parse(subject).unwrap(),
        id: MessageId::of_quarantine(b"x"),
        stream: stream.into(),
        headers: Headers::default(),
        payload: bytes::Bytes::new(),
        kind: MessageKind::Task,
    }
}

#[test]
fn silence_is_the_fault_of_whoever_alone_is_silent() {
    let health = Health::new(Patterns::new(Vec::new()), Duration::from_secs(1));
    let (a, b, other) = (message("A", "a.x"), message("A", "a.y"), message("B", "b.x"));
    let started = Instant::now();
    assert_eq!(health.failed(&a, started, &Failure::Unanswered), Scope::Connection);
    assert!(health.silent_for().is_some());
    health.acknowledged(&other);
    assert!(health.silent_for().is_none(), "the server has said something");
    assert_eq!(health.failed(&a, started, &Failure::Unanswered), Scope::Stream);
    health.acknowledged(&b);
    assert_eq!(health.failed(&a, started, &Failure::Unanswered), Scope::Subject);
    assert!(health.silent_for().is_none());
}

#[test]
fn a_refusal_holds_back_its_own_and_is_remembered_beyond_an_acknowledgement() {
    let health = Health::new(Patterns::new(Vec::new()), Duration::from_secs(1));
    let (a, other) = (message("A", "a.x"), message("B", "b.x"));
    let full = Failure::Busy("full".to_owned());
    assert_eq!(health.failed(&a, Instant::now(), &full), Scope::Stream);
    assert_eq!(health.admit(&a, Attempt::Usual), Err(full.clone()));
    assert_eq!(health.admit(&a, Attempt::Probe), Ok(()));
    assert_eq!(health.admit(&other, Attempt::Usual), Ok(()));
    health.acknowledged(&other);
    assert_eq!(
        health.admit(&a, Attempt::Usual),
        Err(full.clone()),
        "another stream says nothing of this one"
    );
    health.acknowledged(&a);
    assert_eq!(health.admit(&a, Attempt::Usual), Ok(()));
    assert_eq!(health.refusing_streams(), [("A".to_owned(), full)], "no flapping");
}

#[test]
fn a_forbidden_subject_says_nothing_of_its_stream() {
    let health = Health::new(Patterns::new(Vec::new()), Duration::from_secs(1));
    let (a, b) = (message("A", "a.x"), message("A", "a.y"));
    let forbidden = Failure::Forbidden("no".to_owned());
    assert_eq!(health.failed(&a, Instant::now(), &forbidden), Scope::Subject);
    assert_eq!(health.admit(&b, Attempt::Usual), Ok(()));
    assert_eq!(health.refusing_streams(), []);
    assert_eq!(health.refused_subjects(), [("a.x".to_owned(), forbidden)]);
}

#[test]
fn of_many_refused_subjects_some_are_remembered_and_the_stream_is_not_to_blame() {
    let health = Health::new(Patterns::new(Vec::new()), Duration::from_secs(1));
    for number in 0..=MAX_REFUSED_SUBJECTS {
        let subject = message("A", &format!("a.{number}"));
        health.failed(&subject, Instant::now(), &Failure::NoStream);
    }
    assert_eq!(health.refused_subjects().len(), MAX_REFUSED_SUBJECTS);
    assert_eq!(health.refusing_streams(), []);
}

#[test]
fn what_is_wrong_with_one_message_says_nothing_of_nats() {
    let health = Health::new(Patterns::new(Vec::new()), Duration::from_secs(1));
    let a = message("A", "a.x");
    assert_eq!(health.failed(&a, Instant::now(), &Failure::TooLarge("x".to_owned())), Scope::Message);
    assert_eq!(health.admit(&a, Attempt::Usual), Ok(()));
    assert!(health.refusing_streams().is_empty() && health.refused_subjects().is_empty());
}
