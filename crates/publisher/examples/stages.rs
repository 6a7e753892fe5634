//! Takes a callback through the pure stages, many times: what `cargo xtask instructions` counts.
//!
//! `stages BODY STAGE TIMES`: a body as `cargo xtask bench` posts it (`xml`, `json`, `jobs:64`, `moderation:200000`), and the last
//! stage: each includes those before it. Nothing is read and nothing is sent.

#![allow(clippy::print_stdout, reason = "a program for developers")]

use std::error::Error;
use std::hint::black_box;

use ci_bridge_publisher::{Origin, Router};
use ci_bridge_schema::{Limits, Normalised, normalise, parse};

#[path = "../tests/counted/mod.rs"]
mod counted;

/// How far a callback is taken.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Parse,
    /// The canonical body of each event, and the attributes that route it.
    Normalise,
    /// Subject, id and headers of each message.
    Route,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().ok_or("usage: stages BODY parse|normalise|route TIMES");
    let workload: counted::workload::Workload = word()?.parse()?;
    let stage = match word()?.as_str() {
        "parse" => Stage::Parse,
        "normalise" => Stage::Normalise,
        "route" => Stage::Route,
        other => return Err(format!("there is no stage '{other}'").into()),
    };
    let times: usize = word()?.parse()?;
    let (body, router) = (workload.body(), counted::router()?);
    let mut bytes = 0;
    for _ in 0..times {
        bytes += run(black_box(body.as_bytes()), stage, &router)?;
    }
    println!("{bytes} bytes of messages");
    Ok(())
}

fn run(body: &[u8], last: Stage, router: &Router) -> Result<usize, Box<dyn Error>> {
    let callback = parse(body, &Limits::default())?;
    if last == Stage::Parse {
        black_box(callback);
        return Ok(0);
    }
    let Normalised::Events(events) = normalise(callback) else {
        return Err("a probe".into());
    };
    let mut bytes = 0;
    if last == Stage::Route {
        for event in &events {
            let origin = Origin { endpoint: "default", trace: None };
            let messages = router.route(event, origin).into_messages();
            bytes += messages.iter().map(|message| message.payload.len()).sum::<usize>();
            black_box(messages);
        }
    }
    black_box(events);
    Ok(bytes)
}
