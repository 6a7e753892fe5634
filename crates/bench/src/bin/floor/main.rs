//! The least that any program can do, to hold the others against. All read the body with hyper and look into none.
//!
//! | `floor …` | then |
//! |---|---|
//! | `http` | answers 200 |
//! | `acknowledged` | publishes the body as it came, without headers, and waits for the acknowledgement |
//! | `message FOLDER` | publishes what `ci-bridge render` made of such a body (`FOLDER/WORKLOAD`), headers and ids included |
//!
//! What is larger than NATS takes goes to the object store first (`object.rs`).

#![allow(clippy::print_stdout, reason = "the ready line on standard output tells the runner the port")]

mod bus;
mod object;
mod prepared;

use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use bus::Bus;
use prepared::Prepared;

type Failure = Box<dyn Error + Send + Sync>;

/// What happens between the body and the answer.
enum Work {
    Nothing,
    Raw(Bus),
    Prepared(Bus, Prepared),
}

fn main() -> Result<(), Failure> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    runtime()?.block_on(async {
        serve(match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["http"] => Work::Nothing,
            ["acknowledged"] => Work::Raw(Bus::connect().await?),
            ["message", folder] => Work::Prepared(Bus::connect().await?, Prepared::read(Path::new(folder))?),
            _ => return Err("usage: floor http|acknowledged|message FOLDER".into()),
        })
        .await
    })
}

/// On one core, several threads would only pass work to each other.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

async fn serve(work: Work) -> Result<(), Failure> {
    let work = Arc::new(work);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready on http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let work = Arc::clone(&work);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &work));
            let mut http = http1::Builder::new();
            // A caller that hangs up ends its connection, and nothing else.
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, work: &Work) -> Result<Response<Full<Bytes>>, Infallible> {
    let outcome = receive(request, work).await;
    let mut response =
        Response::new(Full::from(outcome.as_ref().map_or_else(ToString::to_string, |()| "ok\n".to_owned())));
    if outcome.is_err() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

async fn receive(request: Request<Incoming>, work: &Work) -> Result<(), Failure> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    match work {
        Work::Nothing => Ok(()),
        Work::Raw(bus) => bus.publish_raw(body).await,
        Work::Prepared(bus, prepared) => bus.publish_all(prepared.messages_of(head.uri.path())?).await,
    }
}
