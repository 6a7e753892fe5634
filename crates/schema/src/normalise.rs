//! The one crossing from the wire shape to the domain shape.
//!
//! Empty nodes go, documented lists become lists, times become RFC 3339, scalars that XML cannot type become
//! strings: XML and JSON of the same callback end as the same bytes, and the result normalises to itself. `canonical.rs`
//! says what is left of a node, `vocabulary/` what the vendor documents about it, `encode.rs` writes it.

use std::borrow::Cow;

use crate::document::Node;
use crate::encode::encode;
use crate::event::{Event, Kind, RoutingAttributes};
use crate::family::Callback;
use crate::family::{self, Family};
use crate::moderation::{has_failed, in_detail_names};
use crate::routing::RoutingTexts;
use crate::vocabulary::Place;

/// What a callback comes to.
#[derive(Debug)]
pub enum Normalised<'a> {
    /// The console's test of a moderation URL: answer 200, publish nothing.
    Probe,
    /// One event a job, in the callback's order; at least one.
    Events(Vec<Event<'a>>),
}

/// Turns a callback into events in the canonical shape.
#[must_use]
pub fn normalise(callback: Callback<'_>) -> Normalised<'_> {
    let Callback { family, event, document } = callback;
    let mut elements = family::elements(&document, family);
    let mut events = Vec::with_capacity(elements.clone().count());
    match family {
        Family::Probe => return Normalised::Probe,
        Family::Task => events.extend(elements.map(task)),
        Family::Workflow => events.extend(elements.map(workflow)),
        Family::ModerationDetail => {
            events.extend(elements.map(|result| moderation(result, event.clone(), None)));
        }
        Family::ModerationSimple => {
            let root = document.root().zip(elements.next());
            events.extend(root.and_then(|(root, data)| simple_moderation(root, data, event)));
        }
    }
    Normalised::Events(events)
}

pub(crate) fn task<'a>(job: Node<'_, 'a>) -> Event<'a> {
    let mut found = RoutingTexts::default();
    let data = encode(job, Place::JOB, &mut found);
    Event { kind: Kind::Task, routing: found.into_attributes(), data }
}

pub(crate) fn workflow<'a>(run: Node<'_, 'a>) -> Event<'a> {
    let mut found = RoutingTexts::default();
    let data = encode(run, Place::WORKFLOW, &mut found);
    let routing = found.into_attributes();
    // It is its own run.
    Event { kind: Kind::Workflow, routing: RoutingAttributes { run_id: routing.id.clone(), ..routing }, data }
}

pub(crate) fn moderation<'a>(
    result: Node<'_, 'a>,
    event: Option<Cow<'a, str>>,
    state: Option<&'static str>,
) -> Event<'a> {
    let mut found = RoutingTexts::default();
    let data = encode(result, Place::MODERATION, &mut found);
    Event { kind: Kind::Moderation, routing: found.into_moderation(event, state), data }
}

fn simple_moderation<'a>(
    root: Node<'_, 'a>,
    data: Node<'_, 'a>,
    event: Option<Cow<'a, str>>,
) -> Option<Event<'a>> {
    let failed = has_failed(root);
    let renamed = in_detail_names(root, data, failed);
    // Simple has no State; its code says the same.
    let state = if failed { "Failed" } else { "Success" };
    Some(moderation(renamed.root()?, event, Some(state)))
}
