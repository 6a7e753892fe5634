//! Publishing, each message acknowledged before it counts.

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use bytes::Bytes;

use crate::prepared::Message;
use crate::{Failure, object};

/// Of a body that nobody looked into.
const SUBJECT: &str = "ci.task.NoiseReduction.success";
/// Room for the headers within what NATS takes, in bytes.
const HEADER_ROOM: usize = 4096;

pub(crate) struct Bus {
    pub(crate) context: Context,
    max_payload: usize,
}

impl Bus {
    pub(crate) async fn connect() -> Result<Self, Failure> {
        let client = async_nats::connect(std::env::var("NATS_URL")?).await?;
        let max_payload = client.server_info().max_payload;
        Ok(Self { context: async_nats::jetstream::new(client), max_payload })
    }

    pub(crate) async fn publish_raw(&self, body: Bytes) -> Result<(), Failure> {
        if !self.is_large(&body) {
            self.context.publish(SUBJECT, body).await?.await?;
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        object::put(&self.context, &object::next_name(), &body, &mut headers).await?;
        self.send(SUBJECT, headers, Bytes::new()).await?.await?;
        Ok(())
    }

    /// All are on their way before the first acknowledgement is waited for.
    pub(crate) async fn publish_all(&self, messages: Vec<Message>) -> Result<(), Failure> {
        let mut sent = Vec::with_capacity(messages.len());
        for Message { subject, id, mut headers, mut body } in messages {
            if self.is_large(&body) {
                object::put(&self.context, &id, &body, &mut headers).await?;
                body = Bytes::from_static(b"{}");
            }
            sent.push(self.send(&subject, headers, body).await?);
        }
        for acknowledgement in sent {
            acknowledgement.await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<PublishAckFuture, Failure> {
        Ok(self.context.publish_with_headers(subject.to_owned(), headers, body).await?)
    }

    fn is_large(&self, body: &Bytes) -> bool {
        body.len() + HEADER_ROOM > self.max_payload
    }
}
