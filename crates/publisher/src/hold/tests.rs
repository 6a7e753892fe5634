use super::*;
use crate::id::MessageId;
use crate::message::{Headers, Message, MessageKind};
use crate::subject::Subject;

fn spooled(place: u64, stream: &str, subject: &str) -> Spooled {
    let message = Message {
        subject: Subject::parse(subject).unwrap(),
        id: MessageId::of_quarantine(subject.as_bytes()),
        stream: stream.into(),
        headers: Headers::default(),
        payload: bytes::Bytes::new(),
        kind: MessageKind::Task,
    };
    Spooled { place, bytes: 100, since: None, message }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_stream_that_refuses_is_passed_over_and_found_again_from_its_first_message() {
    let (mut holds, now) = (Holds::default(), Instant::now());
    let full = Failure::Busy("full".to_owned());
    assert!(holds.missed(&spooled(5, "A", "a.x"), &full, Scope::Stream, now));
    assert!(!holds.missed(&spooled(3, "A", "a.y"), &full, Scope::Stream, now), "said once");
    assert!(holds.passes_over(&spooled(9, "A", "a.z")));
    assert!(!holds.passes_over(&spooled(10, "B", "b.x")));
    assert_eq!(holds.due(now), []);
    let [probe] = &holds.due(now + SECOND)[..] else { panic!("one") };
    assert_eq!((&probe.of, probe.from, probe.alone), (&Held::Stream("A".into()), 6, false));
    assert_eq!(holds.taken(&spooled(6, "A", "a.y")), Some(3));
    assert!(!holds.passes_over(&spooled(9, "A", "a.z")));
}

#[test]
fn a_subject_that_is_refused_holds_back_itself_alone() {
    let (mut holds, now) = (Holds::default(), Instant::now());
    holds.missed(&spooled(1, "A", "a.x"), &Failure::NoStream, Scope::Subject, now);
    assert!(holds.passes_over(&spooled(2, "A", "a.x")));
    assert!(!holds.passes_over(&spooled(3, "A", "a.y")));
    assert_eq!(holds.taken(&spooled(3, "A", "a.y")), None);
    assert!(holds.passes_over(&spooled(2, "A", "a.x")));
    assert_eq!(holds.taken(&spooled(1, "A", "a.x")), Some(1));
}

#[test]
fn the_message_that_twice_went_down_with_the_connection_is_tried_alone() {
    let (mut holds, now) = (Holds::default(), Instant::now());
    let message = spooled(1, "A", "a.x");
    assert!(!holds.missed(&message, &Failure::Disconnected, Scope::Connection, now));
    assert!(!holds.passes_over(&message));
    assert!(holds.missed(&message, &Failure::Disconnected, Scope::Connection, now));
    assert!(holds.passes_over(&message));
    assert!(!holds.passes_over(&spooled(2, "A", "a.x")));
    let [probe] = &holds.due(now + SECOND)[..] else { panic!("one") };
    assert!(probe.alone);
    holds.try_all(now);
    assert_eq!(holds.due(now), [], "the new connection is not its next victim");
    holds.taken(&message);
    assert_eq!(holds.due(now + SECOND), []);
}

#[test]
fn large_messages_wait_for_room_and_for_nothing_else() {
    let (mut holds, now) = (Holds::default(), Instant::now());
    holds.begins(1, now);
    holds.waits(2, now);
    holds.set_room(false);
    assert!(holds.passes_over(&spooled(1, "A", "a.x")) && holds.passes_over(&spooled(2, "A", "a.y")));
    assert!(!holds.is_due(now + SECOND) && holds.pause(now).is_none());
    holds.set_room(true);
    let [probe] = &holds.due(now)[..] else { panic!("one") };
    assert_eq!((&probe.of, probe.large), (&Held::Message(2), true), "the other is on its way");
    assert!(holds.ended(1, now), "the first time");
    assert!(!holds.ended(1, now));
}

#[test]
fn what_is_held_is_tried_less_and_less_often_but_never_forgotten() {
    let (mut holds, mut now) = (Holds::default(), Instant::now());
    let message = spooled(1, "A", "a.x");
    let mut pauses = Vec::new();
    for _ in 0..6 {
        holds.missed(&message, &Failure::NoStream, Scope::Subject, now);
        let pause = holds.pause(now).unwrap();
        pauses.push(pause.as_millis());
        now += pause;
        let [probe] = &holds.due(now)[..] else { panic!("one") };
        // Also when what comes of it blames somebody else.
        holds.tries(&probe.of, 1, now);
        assert_eq!(holds.due(now), []);
    }
    assert_eq!(pauses, [250, 500, 1000, 1500, 1500, 1500]);
}

#[test]
fn what_is_refused_is_counted_named_and_forgotten_when_it_is_given_up() {
    let (mut holds, now) = (Holds::default(), Instant::now());
    assert!(holds.take_news().is_none());
    holds.missed(&spooled(3, "A", "a.x"), &Failure::NoStream, Scope::Subject, now);
    assert!(holds.passes_over(&spooled(4, "A", "a.x")) && holds.passes_over(&spooled(4, "A", "a.x")));
    let large = Failure::TooLarge("1 byte".to_owned());
    holds.missed(&spooled(9, "A", "a.y"), &large, Scope::Message, now);
    holds.missed(&spooled(1, "B", "b.y"), &Failure::Busy("full".to_owned()), Scope::Stream, now);
    holds.missed(&spooled(2, "C", "c.y"), &Failure::InFlight, Scope::Message, now);
    let summary = holds.take_news().unwrap().summary().unwrap();
    assert_eq!((summary.messages, summary.oldest.len()), (3, 2), "a full stream refuses nobody");
    assert_eq!(summary.oldest[0].subject, "a.x");
    assert!(holds.take_news().is_none(), "said once");
    assert_eq!(holds.forget(&[3, 9]), None);
    assert_eq!(holds.take_news().unwrap().refused(), 1);
    assert_eq!(holds.forget(&[4]), Some(3), "others of the subject may have been passed over since");
    assert!(holds.take_news().unwrap().summary().is_none());
    assert!(!holds.passes_over(&spooled(5, "A", "a.x")), "tried anew");
}

#[test]
fn of_more_than_can_be_held_one_by_one_the_stream_is_held() {
    let (mut holds, now) = (Holds::default(), Instant::now());
    let large = Failure::TooLarge("1 byte".to_owned());
    for place in 0..=u64::try_from(MAX_HELD).unwrap() {
        assert!(holds.missed(&spooled(place, "A", "a.x"), &large, Scope::Message, now), "{place}");
    }
    assert_eq!(holds.held.len(), MAX_HELD + 1);
    assert!(holds.passes_over(&spooled(u64::MAX, "A", "a.z")), "the stream is");
    assert!(!holds.passes_over(&spooled(u64::MAX, "B", "b.z")));
    assert!(!holds.missed(&spooled(7, "A", "a.x"), &large, Scope::Message, now), "what is held stays held");
}
