//! No job unaccounted for: what CI says has ended, held against what the bus has, and the rest published.
//!
//! ```text
//! list (CI) ──► route (as a callback) ──► known? (streams, spool) ──► publish under the callback's own id
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `account.rs` | what an account is made of: whom to ask, for which tags |
//! | `making.rs` | which jobs, since when, and how an account begins |
//! | `running.rs` | the account being made, from lists to totals |
//! | `candidate.rs` | a job as it would be published, and by which endpoint |
//! | `known.rs` | what the bus has already |
//! | `outcome.rs` | what became of each job, and how many of each |
//! | `repeat.rs` | accounts again and again, by one bridge of several |

mod account;
mod candidate;
mod known;
mod making;
mod outcome;
mod repeat;
mod running;

pub(crate) use account::Account;
pub(crate) use making::Wanted;
pub(crate) use outcome::{Line, Outcome, Report, Totals};
pub(crate) use repeat::{Repeating, Repetition};
