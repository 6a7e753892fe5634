//! What the load generator and the runner share: bodies, and what is measured of them.
//!
//! | program | is |
//! |---|---|
//! | `ci-bridge-bench` (`main.rs`) | the runner: starts nats-server and the contenders, asks `load`, writes the report |
//! | `load` | one thread that posts callbacks and counts answers |
//! | `floor` | the least a program can do: read a body and answer, with or without an acknowledged publish |
//! | `naive` | the bridge one writes in an afternoon: axum, serde, async-nats |
//! | `peers/` | the same in Python and Node |

pub mod measurement;
pub mod process;
pub mod template;
pub mod workload;
