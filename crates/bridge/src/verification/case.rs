//! A claim of a callback, and what is known of it so far.

use std::sync::Arc;

use ci_bridge_ingress::{Claim, Verdict};
use ci_bridge_schema::Event;
use ci_bridge_tencent::Error;

use super::resources::Resource;

/// What CI has at one resource.
#[derive(Debug)]
pub(super) enum Looked {
    /// It has ended as the callback says.
    Same(Arc<Event<'static>>),
    /// It is in another state, this one.
    Other(String),
    Nothing,
    /// It cannot be told, because CI is away.
    Silent(String),
    /// It cannot be told, for a reason that a stranger can bring about.
    Failed(String),
}

/// A claim that is being looked into.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) claim: Claim,
    /// Where CI may keep it, in this order.
    pub(super) resources: Vec<Resource>,
    /// It is looked for.
    is_open: bool,
    /// What CI has of it.
    verdict: Option<Verdict>,
    /// Why it cannot be told at one of the resources.
    failure: Option<Verdict>,
    /// What CI said before it was asked again.
    first: Option<Verdict>,
    /// Nobody was asked.
    was_known: bool,
}

impl Looked {
    pub(super) fn of_error(error: &Error) -> Self {
        match error.is_silence() {
            true => Self::Silent(error.to_string()),
            false => Self::Failed(error.to_string()),
        }
    }
}

impl Case {
    /// One that is to be looked for at these resources.
    pub(super) fn at(claim: Claim, resources: Vec<Resource>) -> Self {
        Self { claim, resources, is_open: true, verdict: None, failure: None, first: None, was_known: false }
    }

    /// One that was confirmed lately.
    pub(super) fn known(claim: Claim, account: Arc<Event<'static>>) -> Self {
        let verdict = Some(Verdict::Confirmed(account));
        Self { verdict, was_known: true, ..Self::at(claim, Vec::new()) }
    }

    /// One that CI cannot be asked for.
    pub(super) fn denied(claim: Claim, why: String) -> Self {
        Self { verdict: Some(Verdict::Denied(why)), ..Self::at(claim, Vec::new()) }
    }

    pub(super) fn was_known(&self) -> bool {
        self.was_known
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open && self.verdict.is_none()
    }

    /// All resources have been asked.
    pub(super) fn rest(&mut self) {
        self.is_open = false;
    }

    /// Takes note of what CI has at the next of its resources.
    pub(super) fn take(&mut self, looked: Looked) {
        match looked {
            Looked::Same(account) => self.verdict = Some(Verdict::Confirmed(account)),
            Looked::Other(state) => {
                self.verdict = Some(Verdict::Denied(format!("CI says that its state is {state}")));
            }
            Looked::Nothing => {}
            // What a stranger can bring about counts, whatever else keeps it from being told.
            Looked::Failed(why) => self.failure = Some(Verdict::Unasked(why)),
            Looked::Silent(why) => {
                self.failure.get_or_insert(Verdict::Unknown(why));
            }
        }
    }

    /// CI has answered, and not confirmed it.
    pub(super) fn is_worth_asking_again(&self) -> bool {
        !self.resources.is_empty() && matches!(self.so_far(), Verdict::Denied(_))
    }

    /// Begins anew, if that is worth it.
    pub(super) fn ask_again(&mut self) {
        if self.is_worth_asking_again() {
            self.first = Some(self.so_far());
            (self.is_open, self.verdict, self.failure) = (true, None, None);
        }
    }

    /// What CI said the first time stands, if it does not answer the second.
    pub(super) fn into_verdict(mut self) -> Verdict {
        let (last, first) = (self.so_far(), self.first.take());
        match (last, first) {
            (Verdict::Unknown(_) | Verdict::Unasked(_), Some(first)) => first,
            (last, _) => last,
        }
    }

    fn so_far(&self) -> Verdict {
        let found = self.verdict.clone().or_else(|| self.failure.clone());
        found.unwrap_or_else(|| Verdict::Denied("CI knows no such job".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use ci_bridge_schema::Kind;

    use super::*;

    fn case() -> Case {
        let claim = Claim {
            kind: Kind::Task,
            id: Some("j1".to_owned()),
            state: Some("Success".to_owned()),
            tag: None,
            event: None,
            bucket: None,
        };
        let resource = Resource { bucket: 0, family: "/jobs" };
        Case::at(claim, vec![resource, Resource { bucket: 1, ..resource }])
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Confirmed(_) => "confirmed",
            Verdict::Denied(_) => "denied",
            Verdict::Unknown(_) => "unknown",
            Verdict::Unasked(_) => "unasked",
        }
    }

    #[test]
    fn what_a_stranger_can_bring_about_is_never_taken_for_silence() {
        type Answers<'a> = &'a [fn() -> Looked];
        let nothing: fn() -> Looked = || Looked::Nothing;
        let other: fn() -> Looked = || Looked::Other("Failed".to_owned());
        let silent: fn() -> Looked = || Looked::Silent("away".to_owned());
        let failed: fn() -> Looked = || Looked::Failed("no turn".to_owned());
        let rows: [(Answers<'_>, Answers<'_>, &str); 9] = [
            (&[nothing, nothing], &[nothing, nothing], "denied"),
            (&[nothing, other], &[other], "denied"),
            (&[nothing, silent], &[], "unknown"),
            (&[silent, nothing], &[], "unknown"),
            (&[silent, failed], &[], "unasked"),
            (&[failed, silent], &[], "unasked"),
            (&[nothing, failed], &[], "unasked"),
            (&[nothing, nothing], &[silent, nothing], "denied"),
            (&[nothing, nothing], &[failed, failed], "denied"),
        ];
        for (number, (first, second, expected)) in rows.into_iter().enumerate() {
            let mut case = case();
            first.iter().for_each(|looked| case.take(looked()));
            case.rest();
            assert_eq!(case.is_worth_asking_again(), !second.is_empty(), "row {number}");
            case.ask_again();
            assert_eq!(case.is_open(), !second.is_empty(), "row {number}");
            second.iter().for_each(|looked| case.take(looked()));
            assert_eq!(word(&case.into_verdict()), expected, "row {number}");
        }
    }
}
