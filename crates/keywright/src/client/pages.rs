//! Lists, page by page.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Client, Request};
use crate::failure::Failure;

/// The longest page that a server gives (CONTRACT §4.1).
const LONGEST_PAGE: usize = 500;

/// A list that is fetched page by page.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    request: Option<Request>,
    wanted: usize,
}

impl Client {
    /// The list that `request` asks for, up to `limit` entries or all of them.
    pub(crate) fn pages(&self, request: Request, limit: Option<usize>) -> Pages<'_> {
        let wanted = limit.unwrap_or(usize::MAX);
        let page = wanted.min(LONGEST_PAGE).to_string();
        Pages {
            client: self,
            request: Some(request.parameter("limit", Some(&page))),
            wanted,
        }
    }

    /// The whole list that `request` asks for, up to `limit` entries.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn list(
        &self,
        request: Request,
        limit: Option<usize>,
    ) -> Result<Vec<Value>, Failure> {
        let mut pages = self.pages(request, limit);
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await? {
            entries.extend(page);
        }
        Ok(entries)
    }
}

impl Pages<'_> {
    /// The next page; `None` after the last, or when as much as was wanted has been given.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        let Some(request) = self.request.take() else {
            return Ok(None);
        };
        let following = request.for_next_page();
        let answer = self.client.send(request).await?;
        let mut page: Vec<Value> = answer.read()?;
        page.truncate(self.wanted);
        self.wanted -= page.len();
        self.request = answer
            .next_query
            .filter(|_| self.wanted > 0)
            .map(|query| following.with_query(&query));
        Ok(Some(page))
    }
}

/// Entries of a list, understood.
///
/// # Errors
/// Where one is not what this version expects.
pub(crate) fn understood<T: DeserializeOwned>(entries: Vec<Value>) -> Result<Vec<T>, Failure> {
    let read = |entry| serde_json::from_value(entry).map_err(|_| super::not_understood());
    entries.into_iter().map(read).collect()
}
