//! From a request to its answer: which endpoint, may it, its body, and then the way of a callback.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::{Instrument, debug};

use crate::answer::Answer;
use crate::auth;
use crate::body::{self, Incomplete};
use crate::budget::ByteReservation;
use crate::callback::Ingress;
use crate::cost;
use crate::detach::detach_on_drop;
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::framing;
use crate::http2;
use crate::metrics::Outcome;
use crate::recent::{self, CallbackNotes, Ended};
use crate::refusals::Refusal;
use crate::slot::RequestGuard;
use crate::trace::{Thread, Trace};

impl Ingress {
    /// Answers one request. `begun` notes that it is in progress, unless its connection is being closed for another;
    /// `permit` is its slot among all in flight, if there was one. Not async: what the head decides is decided at
    /// once, so that no future has to carry the head.
    pub(crate) fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        is_tls: bool,
        begun: Option<RequestGuard>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + use<> {
        let headers = request.headers();
        // Where a chunked body ends two readers may disagree, so nothing after it is taken for a request.
        let is_last = headers.contains_key(header::TRANSFER_ENCODING);
        let waits_for_leave = headers.contains_key(header::EXPECT);
        let admitted = permit.is_some().then(|| self.admit(&request, peer));
        let mut trace = match &admitted {
            Some(Ok(endpoint)) => Trace::begin(self.traces(), &request, endpoint, peer, is_tls),
            _ => Trace::default(),
        };
        let mut body = Incomplete::new(request.into_body(), waits_for_leave);
        async move {
            let Some(in_progress) = begun else {
                return std::future::pending().await;
            };
            let held_until_answered = permit;
            let received = self.metrics.received();
            let mut notes = CallbackNotes::new(self.recent.is_some());
            let (endpoint, answer) = match admitted {
                Some(Ok(endpoint)) => {
                    let answer = self.take(&endpoint, &mut body, &mut trace, &mut notes).await;
                    (Some(endpoint), answer)
                }
                Some(Err(Refused { answer, endpoint })) => (endpoint, answer),
                None => (None, Answer::Overloaded("requests in flight (max_in_flight)")),
            };
            if let Some(reason) = answer.rejection() {
                self.rejected(reason, &answer, endpoint.as_deref(), body.bytes(), peer);
            }
            let outcome = answer.outcome();
            let total = received.answered(outcome);
            trace.answered(&answer, body.bytes());
            self.remember(notes, total, &answer, endpoint.as_deref(), body.bytes());
            drop(held_until_answered);
            // From here on nothing is held for the request but its connection, and that not against others.
            if outcome == Outcome::Rejected {
                in_progress.refused();
            }
            body.linger();
            let mut response = answer.into_response();
            if is_last || self.is_closing() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }

    /// Leaves the fact of it for whoever looks.
    fn remember(
        &self,
        notes: CallbackNotes,
        total: Duration,
        answer: &Answer,
        endpoint: Option<&Endpoint>,
        bytes: u64,
    ) {
        let Some(kept) = &self.recent else { return };
        let endpoint = endpoint.map(|endpoint| endpoint.name.as_str()).unwrap_or_default();
        let ended = Ended { at: recent::now().saturating_sub(total), total, answer, endpoint, bytes };
        notes.end(&ended, |told, age| kept.remember(told, age));
    }

    /// Counts a request that was turned away, and says so when it may have been a callback.
    fn rejected(
        &self,
        reason: &'static str,
        answer: &Answer,
        endpoint: Option<&Endpoint>,
        bytes: u64,
        peer: IpAddr,
    ) {
        debug!(%peer, reason, "request rejected");
        self.metrics.rejected(reason);
        if let Some(endpoint) = endpoint.filter(|_| answer.loses_callback()) {
            let (endpoint, detail) = (&endpoint.name, &answer.detail());
            self.refusals.refused(&Refusal { reason, detail, endpoint, bytes, peer });
        }
    }

    /// Reads the body, and processes it.
    async fn take(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        body: &mut Incomplete,
        trace: &mut Trace,
        notes: &mut CallbackNotes,
    ) -> Answer {
        let limits = &self.limits;
        let mut share = self.share();
        let limit =
            body::Limit { bytes: limits.max_body, trailers: limits.max_headers, within: limits.body_timeout };
        let bytes = match body.read(limit, &mut share).await {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        notes.has_read();
        self.tell(endpoint, bytes, trace.thread(), share, notes).await
    }

    /// Takes a body that quarantine kept as if it came to this endpoint now, and was let in.
    pub(crate) async fn take_again(self: &Arc<Self>, endpoint: &Arc<Endpoint>, body: Bytes) -> Answer {
        let received = self.metrics.received();
        let bytes = body.len() as u64;
        let share = self.share();
        let mut notes = CallbackNotes::new(self.recent.is_some());
        let answer = self.tell(endpoint, body, Trace::default().thread(), share, &mut notes).await;
        let total = received.answered(answer.outcome());
        self.remember(notes, total, &answer, Some(endpoint), bytes);
        answer
    }

    /// Processes a body that is here.
    async fn tell(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        body: Bytes,
        trace: Thread,
        mut share: ByteReservation,
        notes: &mut CallbackNotes,
    ) -> Answer {
        if !share.take(cost::of_messages(&body)) {
            return Answer::TooManyBytes { limit: share.most() };
        }
        let told = std::mem::replace(notes, CallbackNotes::new(false));
        match Arc::clone(self).process(Arc::clone(endpoint), body, trace, share, told).await {
            Ok((answer, told)) => {
                *notes = told;
                answer
            }
            // A panic, which is this callback's alone.
            Err(_) => {
                *notes = CallbackNotes::new(self.recent.is_some());
                Answer::Unavailable("an internal error; the log has more".to_owned())
            }
        }
    }

    /// The processing, which outlives its connection: a sender that hangs up must not end a publish halfway. Not async, so
    /// that connections, which have most of the futures, are not as large as it is.
    fn process(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        body: Bytes,
        trace: Thread,
        share: ByteReservation,
        mut notes: CallbackNotes,
    ) -> impl Future<Output = std::thread::Result<(Answer, CallbackNotes)>> + Send {
        let telling = async move {
            let _held_until_answered = share;
            let late = |_| Answer::Unavailable("no answer from NATS within the deadline".to_owned());
            // Where it stands: a timeout would move it, and it is large.
            let answer = {
                let receiving = pin!(self.receive(&endpoint, body, trace.context.as_deref(), &mut notes));
                timeout(self.limits.deadline, receiving.instrument(trace.span)).await.unwrap_or_else(late)
            };
            (answer, notes)
        };
        detach_on_drop(AssertUnwindSafe(telling).catch_unwind())
    }

    /// The endpoint that takes the request, decided from its head alone.
    fn admit(&self, request: &Request<Incoming>, peer: IpAddr) -> Result<Arc<Endpoint>, Refused> {
        let nowhere = |answer| Refused { answer, endpoint: None };
        if let Some(fault) = self.fault(request) {
            return Err(nowhere(Answer::Malformed(fault)));
        }
        let uri = request.uri();
        let endpoints = self.endpoints();
        let matching = endpoints.iter().filter_map(|e| Some((e, e.token_in(uri.path())?)));
        // Of `/ci` with a token and `/ci/callback`, the path itself is meant.
        let longest = matching.max_by_key(|(endpoint, _)| endpoint.path.len());
        let (endpoint, token) = longest.ok_or_else(|| nowhere(Answer::NoSuchPath))?;
        if request.method() != Method::POST {
            return Err(nowhere(Answer::MethodNotAllowed));
        }
        match admitted(endpoint, token, request, peer) {
            Ok(()) => Ok(Arc::clone(endpoint)),
            Err(answer) => Err(Refused { answer, endpoint: Some(Arc::clone(endpoint)) }),
        }
    }

    /// What is wrong with the head, whatever it asks for.
    fn fault(&self, request: &Request<Incoming>) -> Option<Fault> {
        let headers = request.headers();
        // In HTTP/2 nothing else counts them.
        if headers.len() > self.limits.max_headers {
            return Some(Fault::TooManyHeaders);
        }
        // A proxy could look at one and the bridge at the other.
        let has_two = headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some();
        let two_authorizations = has_two.then_some(Fault::TwoAuthorizations);
        framing::marked(request).or_else(|| http2::fault(request)).or(two_authorizations)
    }
}

/// A request that its head alone has turned away, and from where.
struct Refused {
    answer: Answer,
    endpoint: Option<Arc<Endpoint>>,
}

/// Whether the sender may post to this endpoint, in the form that it announces.
fn admitted(
    endpoint: &Endpoint,
    token: Option<&str>,
    request: &Request<Incoming>,
    peer: IpAddr,
) -> Result<(), Answer> {
    let headers = request.headers();
    if !endpoint.allow_from.allows(peer, headers) {
        return Err(Answer::AddressNotAllowed);
    }
    if !endpoint.secrets.is_empty() {
        let presented = auth::presented(token, request.uri().query(), headers);
        if presented.is_empty() {
            return Err(Answer::Unauthenticated(
                "a token is needed: as the last path segment, ?token=, Authorization: Bearer or basic password",
            ));
        }
        if !endpoint.secrets.accept(&presented) {
            return Err(Answer::Unauthenticated("the token is not one of this endpoint's"));
        }
    }
    content_coding(headers).map_or(Ok(()), |coding| Err(Answer::ContentCoding(coding)))
}

/// The first content coding other than none.
fn content_coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = values.flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim);
    let mut other = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    other.next().map(str::to_owned)
}
