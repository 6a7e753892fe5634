//! A microservice that handles finished noise reductions: `cargo run -p ci-bridge-publisher --example subscribe`.
//! `CI_SUBJECT` chooses other events.
#![allow(clippy::print_stdout, reason = "an example shows what it receives")]

use async_nats::jetstream::{self, Context, consumer::pull};
use ci_bridge_schema::{ModerationEvent, TaskEvent};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let subject = std::env::var("CI_SUBJECT").unwrap_or_else(|_| "ci.task.NoiseReduction.*".to_owned());
    let context = jetstream::new(async_nats::connect(url).await?);
    let stream = context.get_stream("CI").await?;
    // The durable name is the service's own: its instances share the messages, and a restart goes on where it was.
    let config = pull::Config {
        durable_name: Some("noise-reduction".to_owned()),
        filter_subject: subject,
        ..pull::Config::default()
    };
    let mut messages = stream.get_or_create_consumer("noise-reduction", config).await?.messages().await?;
    while let Some(message) = messages.try_next().await? {
        let body = whole(&context, &message).await?;
        // The subject tells which of the types it is.
        match message.subject.starts_with("ci.moderation.") {
            true => println!("{:?}", serde_json::from_slice::<ModerationEvent>(&body)?.result),
            false => {
                let job: TaskEvent = serde_json::from_slice(&body)?;
                println!("{:?} {:?} wrote {:?}", job.job_id, job.state, job.output_object());
            }
        }
        println!("{} bytes, SHA-256 {}", body.len(), hex(&Sha256::digest(&body)));
        // Only after the work is done: what is not acknowledged comes again, and `Nats-Msg-Id` tells a repetition.
        message.ack().await?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The body; of an event that is larger than NATS takes, from the object store, whole and compared with its digest.
async fn whole(context: &Context, message: &jetstream::Message) -> Result<Vec<u8>, Error> {
    let place = message.headers.as_ref().and_then(|headers| headers.get("Ci-Object"));
    let Some((bucket, name)) = place.and_then(|place| place.as_str().split_once('/')) else {
        return Ok(message.payload.to_vec());
    };
    let mut object = context.get_object_store(bucket).await?.get(name).await?;
    let mut body = Vec::new();
    object.read_to_end(&mut body).await?;
    Ok(body)
}
