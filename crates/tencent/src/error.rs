//! What went wrong between us and CI, and what to do about it: each is one sentence for the operator.

use std::time::Duration;

use ci_bridge_schema::ParseError;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no keys, or none that can be had.
    #[error("no credentials for Tencent Cloud: {0}")]
    Credentials(String),
    /// CI answered, and does not do it.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Nobody answered, also not after further attempts.
    #[error(
        "{host} cannot be reached: {why}; check the network, the region of the bucket and [tencent] endpoint"
    )]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What the last attempt came to.
        why: String,
    },
    /// It asked us to come later, also after further attempts.
    #[error(
        "{host} is busy (HTTP {status}), also after {attempts} attempts: lower [tencent] requests_per_second"
    )]
    Busy {
        /// Who was asked.
        host: String,
        /// 429, 503, …
        status: u16,
        /// How often it was asked.
        attempts: u32,
    },
    /// It asked us to ask less, until there was no time left to do so.
    #[error("{host} asks for fewer requests (HTTP {status}): lower [tencent] requests_per_second")]
    Throttled {
        /// Who was asked.
        host: String,
        /// 429, or 503 with COS's code `SlowDown`.
        status: u16,
    },
    /// It was not asked, or so late that no answer says nothing: others were before it.
    #[error(
        "{host} was not asked in time, for other questions came first: raise [tencent] requests_per_second"
    )]
    NoTurn {
        /// Who was to be asked.
        host: String,
    },
    /// The answer is larger than is read.
    #[error("the answer of {host} is larger than {limit} bytes and was not read")]
    TooLarge {
        /// Who was asked.
        host: String,
        /// In bytes.
        limit: usize,
    },
    /// The answer is none that the API documents.
    #[error("the answer of {host} to {path} cannot be read: {error}")]
    Unreadable {
        /// Who was asked.
        host: String,
        /// What was asked for.
        path: String,
        /// Where it stops making sense.
        error: ParseError,
    },
    /// A list of pages that would not end.
    #[error("the list {path} of {host} does not end: {why}; what came before was taken")]
    Endless {
        /// Who was asked.
        host: String,
        /// What was asked for.
        path: String,
        /// The token that came twice, or too many pages.
        why: &'static str,
    },
    /// It cannot be asked like that.
    #[error("{0}")]
    Question(String),
}

/// What CI answered in place of what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} refuses {path}: HTTP {status} {code}{}{}: {}",
    separated(" ", message),
    separated(" (x-ci-request-id ", request_id),
    advice(self)
)]
pub struct Refusal {
    /// Who was asked.
    pub host: String,
    /// What was asked for.
    pub path: String,
    /// HTTP's status.
    pub status: u16,
    /// COS's code, such as `AccessDenied`; empty where there is none.
    pub code: String,
    /// One sentence of the vendor's.
    pub message: String,
    /// By which the vendor finds it again.
    pub request_id: String,
    /// How far our clock is from CI's, and whether it is ahead, where it said what time it is.
    pub clock: Option<(Duration, Ahead)>,
}

/// Whether our clock is ahead of CI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// Ours is later.
    Ahead,
    /// Ours is earlier.
    Behind,
}

/// A signature holds from a minute before to some minutes after: a clock this far off is why it is refused.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(50);

impl Error {
    /// Whether it says that CI does not work for us at present: it is away or overloaded, or takes no key of ours. Otherwise
    /// it is about the question, which whoever causes it can choose, or about how many were asked.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Credentials(_) | Self::Unreachable { .. } | Self::Busy { .. } => true,
            Self::Refused(refusal) => refusal.is_about_everything(),
            Self::Throttled { .. }
            | Self::NoTurn { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::Endless { .. }
            | Self::Question(_) => false,
        }
    }
}

impl Refusal {
    /// Whether no question about this bucket would be answered: the key, the clock, the bucket or its region is at fault.
    #[must_use]
    pub fn is_about_everything(&self) -> bool {
        self.is_about_the_clock()
            || self.is_redirect()
            || matches!(
                self.code.as_str(),
                "InvalidAccessKeyId"
                    | "SignatureDoesNotMatch"
                    | "ExpiredToken"
                    | "InvalidToken"
                    | "NoSuchBucket"
            )
    }

    /// Whether there is nothing of what was asked for: a job, or a service that this bucket does not use.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.status, 400 | 404) && !self.is_about_everything()
    }

    /// Another region would answer.
    fn is_redirect(&self) -> bool {
        matches!(self.status, 300..=399)
    }

    /// Whether the key lacks a right, or is none.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    fn is_about_the_clock(&self) -> bool {
        let expired = self.code == "RequestTimeTooSkewed" || self.message.contains("expired");
        self.is_denied() && (expired || self.clock.is_some_and(|(off, _)| off > CLOCK_TOLERANCE))
    }
}

fn separated(before: &str, text: &str) -> String {
    match (text, before.contains('(')) {
        ("", _) => String::new(),
        (text, true) => format!("{before}{text})"),
        (text, false) => format!("{before}{text}"),
    }
}

fn advice(refusal: &Refusal) -> String {
    if refusal.is_about_the_clock() {
        return match refusal.clock {
            Some((off, ahead)) if off > CLOCK_TOLERANCE => {
                let way = if ahead == Ahead::Ahead { "ahead of" } else { "behind" };
                format!("this machine's clock is {} s {way} CI's: set it, with NTP", off.as_secs())
            }
            _ => "the signature is no longer valid: set this machine's clock, with NTP".to_owned(),
        };
    }
    match (refusal.code.as_str(), refusal.status) {
        ("InvalidAccessKeyId", _) => {
            "there is no such secret_id: correct the credentials of [tencent]".to_owned()
        }
        ("SignatureDoesNotMatch", _) => {
            "the secret_key does not belong to the secret_id: correct the credentials of [tencent]".to_owned()
        }
        ("ExpiredToken" | "InvalidToken", _) => {
            "the temporary key has expired or its token is missing: renew the credentials of [tencent]"
                .to_owned()
        }
        ("NoSuchBucket", _) => {
            "there is no such bucket in this region: correct its name and region".to_owned()
        }
        (_, 401 | 403) => format!("allow the key {} on this bucket", action(&refusal.path)),
        _ if refusal.is_redirect() => {
            "redirects are not followed: correct the bucket's region, or [tencent] endpoint".to_owned()
        }
        _ => "CI does not do it for this bucket".to_owned(),
    }
}

/// The permission that a question needs, as CAM names it.
fn action(path: &str) -> &'static str {
    let (family, id) =
        path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match (family, id.is_empty()) {
        ("jobs", true) => "ci:DescribeMediaJobs",
        ("jobs", false) => "ci:DescribeMediaJob",
        ("doc_jobs", true) => "ci:DescribeDocProcessJobs",
        ("doc_jobs", false) => "ci:DescribeDocProcessJob",
        ("ai_jobs", false) => "ci:DescribeAIJob",
        ("virus", false) => "ci:DescribeAuditingVirusJob",
        ("workflowexecution", true) => "ci:DescribeMediaWorkflowExecutions",
        ("workflowexecution", false) => "ci:DescribeMediaWorkflowExecution",
        ("queue", _) => "ci:DescribeMediaQueues",
        ("asrqueue", _) => "ci:DescribeAsrQueues",
        ("docqueue", _) => "ci:DescribeDocProcessQueues",
        _ => "ci:Describe*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let refusal = |status, code: &str, message: &str, path: &str, clock| Refusal {
            host: "media-1300000001.ci.ap-beijing.myqcloud.com".into(),
            path: path.into(),
            status,
            code: code.into(),
            message: message.into(),
            request_id: "NjMx".into(),
            clock,
        };
        let ten_minutes = Some((Duration::from_secs(600), Ahead::Behind));
        let rows = [
            (
                refusal(403, "AccessDenied", "Access Denied.", "/jobs", None),
                "allow the key ci:DescribeMediaJobs",
            ),
            (
                refusal(403, "AccessDenied", "", "/workflowexecution/i1", None),
                "ci:DescribeMediaWorkflowExecution on",
            ),
            (
                refusal(403, "AccessDenied", "Request has expired", "/jobs", ten_minutes),
                "clock is 600 s behind CI's",
            ),
            (refusal(403, "AccessDenied", "Access Denied.", "/jobs", ten_minutes), "set it, with NTP"),
            (refusal(403, "InvalidAccessKeyId", "", "/jobs", None), "no such secret_id"),
            (refusal(403, "SignatureDoesNotMatch", "", "/jobs", None), "secret_key does not belong"),
            (refusal(404, "NoSuchBucket", "", "/jobs", None), "no such bucket"),
            (refusal(302, "", "", "/jobs", None), "redirects are not followed"),
        ];
        for (refusal, advice) in rows {
            let text = refusal.to_string();
            assert!(text.contains(advice) && text.contains("x-ci-request-id NjMx"), "{text}");
        }
    }
}
