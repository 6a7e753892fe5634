//! One question to CI: signed, at its turn, and asked again when CI is busy or the wire broke.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ci_bridge_schema::{ApiAnswer, Limits, parse_answer, parse_error};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, DATE, HOST, HeaderMap, RETRY_AFTER};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use crate::bucket::Bucket;
use crate::credentials::{Credentials, Keys, Sources};
use crate::error::{Ahead, Error, Refusal};
use crate::pace::Pace;
use crate::signature::{Signed, authorization, query};
use crate::wire::{Answered, MAX_ANSWER, NoAnswer, Origin, Wire};

/// `[tencent]`, as the client takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A file with keys, in place of those of the environment and of the machine.
    pub credentials_file: Option<PathBuf>,
    /// Where to connect to in place of each bucket's own host, which stays the name that is asked for.
    pub endpoint: Option<String>,
    /// Requests a second, of all buckets together.
    pub requests_per_second: u32,
    /// From a question to the end of its answer.
    pub timeout: Duration,
}

/// How long whoever asks has time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// Asked later, it would have no fair time to answer: its silence says nothing then.
    pub asked_by: Instant,
    /// Nobody waits any longer.
    pub answered_by: Instant,
}

/// Asks CI. Questions wait for their turns, and not for one another's answers.
pub struct Client {
    wire: Wire,
    credentials: Credentials,
    pace: Pace,
    endpoint: Option<Origin>,
    timeout: Duration,
    limits: Limits,
}

/// How long before now and after it a signature holds: for clocks that differ by a little, and no longer than a request
/// may wait.
const VALID_SECONDS: (u64, u64) = (60, 300);
/// How often one question is asked, when CI is busy or does not answer.
const ATTEMPTS: u32 = 5;
/// The wait before the second attempt; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that CI can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Client {
    /// A client whose answers are read within these limits.
    ///
    /// # Errors
    ///
    /// When the endpoint is none: says what to write.
    pub fn new(config: Config, limits: Limits) -> Result<Self, String> {
        let Config { credentials_file, endpoint, requests_per_second, timeout } = config;
        Ok(Self {
            wire: Wire::default(),
            credentials: Credentials::new(Sources::of_this_machine(credentials_file), timeout),
            pace: Pace::new(requests_per_second),
            endpoint: endpoint.as_deref().map(Origin::parse).transpose()?,
            timeout,
            limits,
        })
    }

    /// Whether an endpoint is one.
    ///
    /// # Errors
    ///
    /// Says what to write.
    pub fn check_endpoint(text: &str) -> Result<(), String> {
        Origin::parse(text).map(|_| ())
    }

    /// Asks for a path and gives what `read` makes of the answer.
    ///
    /// # Errors
    ///
    /// [`Error`] is a sentence with the remedy.
    pub async fn ask<T>(
        &self,
        bucket: &Bucket,
        path: &str,
        parameters: &[(&str, &str)],
        read: impl FnOnce(&ApiAnswer<'_>) -> T,
    ) -> Result<T, Error> {
        let host = bucket.host();
        let body = self.get(&host, path, parameters, &mut Progress::Waiting).await?;
        let answer = parse_answer(&body, &self.limits).map_err(|error| Error::Unreadable {
            host,
            path: path.to_owned(),
            error,
        })?;
        Ok(read(&answer))
    }

    /// The answer to a path as it came, if it comes in time.
    ///
    /// # Errors
    ///
    /// As for every question; [`Error::NoTurn`] if it was not asked, or too late for its silence to mean anything, and
    /// [`Error::Throttled`] if CI wanted it to be asked later.
    pub async fn body_within(&self, bucket: &Bucket, path: &str, within: Within) -> Result<Bytes, Error> {
        let host = bucket.host();
        let mut progress = Progress::Waiting;
        let answer = timeout_at(within.answered_by, self.get(&host, path, &[], &mut progress)).await;
        match (answer, progress) {
            (Err(_) | Ok(Err(Error::Busy { .. })), Progress::Throttled(status)) => {
                Err(Error::Throttled { host, status })
            }
            (Ok(answer), _) => answer,
            (Err(_), Progress::Asked(at)) if at <= within.asked_by => {
                let waited = within.answered_by.duration_since(at).as_millis();
                Err(Error::Unreachable { host, why: format!("no answer within {waited} ms") })
            }
            (Err(_), _) => Err(Error::NoTurn { host }),
        }
    }

    async fn get(
        &self,
        host: &str,
        path: &str,
        parameters: &[(&str, &str)],
        progress: &mut Progress,
    ) -> Result<Bytes, Error> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            self.pace.turn().await;
            progress.ask();
            let keys = self.credentials.keys().await?;
            let request = sign(&keys, host, path, parameters)?;
            let host_of = self.endpoint.clone().unwrap_or_else(|| Origin::https(host));
            let last = attempt == ATTEMPTS;
            match self.wire.exchange(&host_of, request, self.timeout).await {
                Ok(answered) => match self.judge(host, path, answered) {
                    Judged::Body(body) => return Ok(body),
                    Judged::Refused(refusal) => {
                        // The next question may be asked with keys that were replaced meanwhile.
                        if refusal.is_denied() {
                            self.credentials.forget().await;
                        }
                        return Err(Error::Refused(refusal));
                    }
                    Judged::Busy { status, after, is_our_pace } => {
                        progress.answered(is_our_pace.then_some(status));
                        if last {
                            return Err(Error::Busy { host: host.to_owned(), status, attempts: ATTEMPTS });
                        }
                        debug!(host, path, status, "CI is busy");
                        sleep(after.unwrap_or(wait).min(LONGEST_WAIT)).await;
                    }
                },
                Err(NoAnswer::TooLarge) => {
                    return Err(Error::TooLarge { host: host.to_owned(), limit: MAX_ANSWER });
                }
                Err(NoAnswer::Unreachable(why)) if last => {
                    return Err(Error::Unreachable { host: host.to_owned(), why });
                }
                Err(NoAnswer::Unreachable(why)) => {
                    progress.answered(None);
                    debug!(host, path, why, "no answer of CI");
                    sleep(wait).await;
                }
            }
            wait *= 2;
        }
        Err(Error::Question("no attempt was made".to_owned()))
    }

    fn judge(&self, host: &str, path: &str, answered: Answered) -> Judged {
        let Answered { status, headers, body } = answered;
        let text = |name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let request_id = text("x-ci-request-id");
        debug!(host, path, status, request_id, bytes = body.len(), "CI answered");
        match status {
            200 => Judged::Body(body),
            429 | 500 | 502 | 503 | 504 => {
                let is_our_pace =
                    status == 429 || parse_error(&body, &self.limits).is_some_and(|e| e.code == "SlowDown");
                Judged::Busy { status, after: retry_after(&headers), is_our_pace }
            }
            _ => {
                let error = parse_error(&body, &self.limits).unwrap_or_default();
                Judged::Refused(Box::new(Refusal {
                    host: host.to_owned(),
                    path: path.to_owned(),
                    status,
                    code: error.code,
                    message: error.message,
                    request_id,
                    clock: clock(&text(DATE.as_str())),
                }))
            }
        }
    }
}

/// How far a question has come, for whoever does not wait for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Its turn has not come.
    Waiting,
    /// It was asked, at this time first.
    Asked(Instant),
    /// The last answer was that less should be asked, with this status.
    Throttled(u16),
}

impl Progress {
    /// A further attempt says nothing new until it is answered.
    fn ask(&mut self) {
        if *self == Self::Waiting {
            *self = Self::Asked(Instant::now());
        }
    }

    /// `throttled`: less should be asked. Another trouble takes the place of that.
    fn answered(&mut self, throttled: Option<u16>) {
        *self = match (throttled, *self) {
            (Some(status), _) => Self::Throttled(status),
            (None, Self::Asked(at)) => Self::Asked(at),
            (None, _) => Self::Asked(Instant::now()),
        };
    }
}

/// What an answer means for the question.
enum Judged {
    Body(Bytes),
    /// `is_our_pace`: it would answer if it were asked less.
    Busy {
        status: u16,
        after: Option<Duration>,
        is_our_pace: bool,
    },
    Refused(Box<Refusal>),
}

fn sign(
    keys: &Keys,
    host: &str,
    path: &str,
    parameters: &[(&str, &str)],
) -> Result<Request<Full<Bytes>>, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut headers = vec![("host", host)];
    headers.extend(keys.token().map(|token| ("x-cos-security-token", token)));
    let valid = (now.saturating_sub(VALID_SECONDS.0), now + VALID_SECONDS.1);
    let authorization =
        authorization(keys, &Signed { method: "GET", path, parameters, headers: &headers, valid });
    let mut target = utf8_percent_encode(path, CONTROLS).to_string();
    if !parameters.is_empty() {
        target.push('?');
        target.push_str(&query(parameters));
    }
    let mut request = Request::get(target).header(HOST, host).header(AUTHORIZATION, authorization);
    if let Some(token) = keys.token() {
        request = request.header("x-cos-security-token", token);
    }
    // Its own words may repeat a header, and so a key.
    request.body(Full::new(Bytes::new())).map_err(|_| {
        Error::Credentials(
            "the secret_id or the token holds what no HTTP header can: write it again".to_owned(),
        )
    })
}

/// In seconds; the other form, a date, is not worth its clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// How far our clock is from the one that wrote this date.
fn clock(date: &str) -> Option<(Duration, Ahead)> {
    let theirs = OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok()?;
    let off = OffsetDateTime::now_utc() - theirs;
    let ahead = if off.is_negative() { Ahead::Behind } else { Ahead::Ahead };
    Some((off.unsigned_abs(), ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_compared_with_the_date_of_the_answer() {
        assert_eq!(clock("-"), None);
        let (off, ahead) = clock("Mon, 27 Jun 2022 15:23:12 GMT").unwrap();
        assert!(off > Duration::from_secs(86_400) && ahead == Ahead::Ahead, "{off:?}");
    }
}
