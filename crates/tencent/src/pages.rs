//! A list that comes in pages, and ends.

use std::collections::HashSet;

use ci_bridge_schema::ApiAnswer;

use crate::bucket::Bucket;
use crate::client::Client;
use crate::error::Error;

/// A million jobs at a hundred a page: no window of hours has more.
const MAX_PAGES: usize = 10_000;

/// The pages of one list, one after another.
pub struct Pages<'c> {
    client: &'c Client,
    bucket: Bucket,
    path: String,
    parameters: Vec<(&'static str, String)>,
    next: Next,
    /// Every token so far: one that comes again would lead round in a circle.
    seen: HashSet<String>,
}

enum Next {
    First,
    After(String),
    /// The last page led on to where no end is.
    Endless(&'static str),
    Done,
}

impl<'c> Pages<'c> {
    pub(crate) fn new(
        client: &'c Client,
        bucket: &Bucket,
        path: &str,
        parameters: Vec<(&'static str, String)>,
    ) -> Self {
        let (bucket, path) = (bucket.clone(), path.to_owned());
        Self { client, bucket, path, parameters, next: Next::First, seen: HashSet::new() }
    }

    /// What `read` makes of the next page; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// [`Error::Endless`] behind the page that shows that the list does not end; otherwise as for one question. After an
    /// error there is no further page.
    pub async fn next<T>(&mut self, read: impl FnOnce(&ApiAnswer<'_>) -> T) -> Result<Option<T>, Error> {
        let mut parameters: Vec<_> =
            self.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match &self.next {
            Next::First => {}
            Next::After(token) => parameters.push(("nextToken", token)),
            Next::Endless(why) => {
                let error = Error::Endless { host: self.bucket.host(), path: self.path.clone(), why };
                self.next = Next::Done;
                return Err(error);
            }
            Next::Done => return Ok(None),
        }
        let asked = self.client.ask(&self.bucket, &self.path, &parameters, |answer| {
            (answer.next_token().map(std::borrow::Cow::into_owned), read(answer))
        });
        let asked = asked.await;
        let (token, page) = match asked {
            Ok(answered) => answered,
            Err(error) => {
                self.next = Next::Done;
                return Err(error);
            }
        };
        self.next = match token {
            None => Next::Done,
            Some(token) if !self.seen.insert(token.clone()) => Next::Endless("a NextToken came twice"),
            Some(_) if self.seen.len() >= MAX_PAGES => Next::Endless("more than 10000 pages"),
            Some(token) => Next::After(token),
        };
        Ok(Some(page))
    }
}
