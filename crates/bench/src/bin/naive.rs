//! The bridge one writes in an afternoon: axum, types for serde, one publish a job, each acknowledged before the answer.
//! It knows noise reduction well, and of everything else what `Value` keeps; it has no spool, no limits of its own, no
//! quarantine, no metrics.

#![allow(clippy::print_stdout, reason = "the ready line on standard output tells the runner the port")]

use std::error::Error;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tasks {
    jobs_detail: Vec<Job>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Job {
    job_id: String,
    tag: String,
    state: String,
    code: String,
    message: Option<String>,
    creation_time: String,
    start_time: String,
    end_time: String,
    queue_id: String,
    input: Input,
    operation: Operation,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    bucket_id: String,
    object: String,
    region: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Operation {
    job_level: String,
    output: Output,
    user_data: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    bucket: String,
    object: String,
    region: String,
}

/// A message before it is on its way.
struct Message {
    subject: String,
    id: String,
    body: Vec<u8>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bus = Arc::new(jetstream::new(async_nats::connect(std::env::var("NATS_URL")?).await?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, Router::new().route("/ci/callback", post(receive)).with_state(bus)).await?)
}

async fn receive(State(bus): State<Arc<Context>>, body: Bytes) -> (StatusCode, String) {
    match messages(&body) {
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
        Ok(messages) => {
            match try_join_all(messages.into_iter().map(|message| publish(&bus, message))).await {
                Ok(_) => (StatusCode::OK, "ok\n".to_owned()),
                Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            }
        }
    }
}

fn messages(body: &[u8]) -> Result<Vec<Message>, Failure> {
    if body.starts_with(b"<") {
        return quick_xml::de::from_reader::<_, Tasks>(body)?.jobs_detail.iter().map(task).collect();
    }
    let callback: Value = serde_json::from_slice(body)?;
    if callback["EventName"] == "TaskFinish" {
        return serde_json::from_value::<Tasks>(callback)?.jobs_detail.iter().map(task).collect();
    }
    Ok(vec![moderation(&callback)?])
}

fn task(job: &Job) -> Result<Message, Failure> {
    Ok(Message {
        subject: format!("ci.task.{}.{}", job.tag, job.state.to_lowercase()),
        id: format!("task:{}:{}", job.job_id, job.state),
        body: serde_json::to_vec(job)?,
    })
}

fn moderation(callback: &Value) -> Result<Message, Failure> {
    let detail = &callback["JobsDetail"];
    let event = callback["EventName"].as_str().ok_or("no EventName")?;
    let verdict = if detail["Result"] == 0 { "normal" } else { "violation" };
    let id = detail["JobId"].as_str().ok_or("no JobId")?;
    Ok(Message {
        subject: format!("ci.moderation.{event}.{verdict}"),
        id: format!("moderation:{id}"),
        body: serde_json::to_vec(detail)?,
    })
}

async fn publish(bus: &Context, message: Message) -> Result<(), Failure> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", message.id);
    bus.publish_with_headers(message.subject, headers, message.body.into()).await?.await?;
    Ok(())
}
