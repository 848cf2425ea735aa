//! The live page: calls now and the last ones, each with its story, for whoever is asked why a call failed.
//!
//! The port of `listen-http` shows it at `/`: one file without foreign parts, which asks for `/calls.json` and `/call.json`.
//! It only reads. Keys, descriptions and the digits of pressed keys are not in it; Call-IDs, tags and addresses are, so the page
//! can be switched off or put behind a token, and pages of other sites may not read it.

mod access;
mod history;
mod query;
mod sparkline;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use ng_protocol::CallId;
use tokio::sync::Mutex;

pub use access::{Access, Settings};
pub use history::History;
use query::Query;
pub use sparkline::Sparklines;
pub use view::{CallView, Moment, State};
pub(crate) use view::{finds, milliseconds};

use crate::control::dispatch::Dispatch;

/// The page itself.
const PAGE: &str = include_str!("live_page/page.html");
/// Calls in one list, of those that there are and of those that are over, each. The newest are shown; a search finds the others.
pub const LONGEST_LIST: usize = 250;
/// A list that is not older is good enough for whoever asks for the same.
const FRESH: Duration = Duration::from_secs(1);
/// Workers are not asked for lists more often, whoever asks.
const PACE: Duration = Duration::from_millis(200);
/// What scripts and styles of the page may do: nothing but ask us.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Who may see the page, and what it remembers.
#[derive(Debug)]
pub struct LivePage {
    access: Access,
    history: Arc<History>,
    list: Mutex<Option<List>>,
}

/// The last list.
#[derive(Debug)]
struct List {
    made: Instant,
    search: String,
    json: Bytes,
}

impl LivePage {
    /// A page that remembers as many calls as the settings say; none at all unless the relay `listens` where it could be asked for.
    pub fn new(settings: &Settings, listens: bool) -> Self {
        Self {
            access: if listens {
                settings.access.clone()
            } else {
                Access::Off
            },
            history: Arc::new(History::new(settings.calls)),
            list: Mutex::new(None),
        }
    }

    /// Where workers leave calls that are over; `None` if nobody may see them.
    pub fn history(&self) -> Option<Arc<History>> {
        (self.access != Access::Off).then(|| Arc::clone(&self.history))
    }

    /// Answers a request for the page or what it asks for; `None` if it is about something else, or there is no page.
    pub(crate) async fn answer(
        &self,
        request: &Request<Incoming>,
        dispatch: &Dispatch,
    ) -> Option<Response<Full<Bytes>>> {
        let path = request.uri().path();
        let is_ours = matches!(path, "/" | "/calls.json" | "/call.json");
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_ours || !reads || self.access == Access::Off {
            return None;
        }
        if path == "/" {
            // Nothing in it is secret, and it asks for the token itself.
            return Some(reply(StatusCode::OK, "text/html; charset=utf-8", PAGE));
        }
        let query = Query::parse(request.uri().query().unwrap_or_default());
        if !self.access.admits(request.headers()) {
            let text = r#"{"error":"a token is needed"}"#;
            return Some(reply(StatusCode::UNAUTHORIZED, JSON, text));
        }
        Some(if path == "/calls.json" {
            let json = self.list(query.search(), dispatch).await;
            reply(StatusCode::OK, JSON, json)
        } else {
            match self.call(&query, dispatch).await {
                Some(view) => reply(StatusCode::OK, JSON, view.whole()),
                None => {
                    let text = r#"{"error":"nobody remembers this call"}"#;
                    reply(StatusCode::NOT_FOUND, JSON, text)
                }
            }
        })
    }

    /// Calls now and the last ones, the newest first. One list is made at a time, and few in a second.
    async fn list(&self, search: &str, dispatch: &Dispatch) -> Bytes {
        let mut last = self.list.lock().await;
        if let Some(list) = last.as_ref() {
            let age = list.made.elapsed();
            if list.search == search && age < FRESH {
                return list.json.clone();
            }
            tokio::time::sleep(PACE.saturating_sub(age)).await;
        }
        let mut now = dispatch.call_views(search).await;
        now.sort_by_key(|view| std::cmp::Reverse(view.started_ms));
        now.truncate(LONGEST_LIST);
        let over = self.history.find(search, LONGEST_LIST);
        let json = view::list(dispatch.sessions(), &now, &over);
        *last = Some(List {
            made: Instant::now(),
            search: search.to_owned(),
            json: json.clone(),
        });
        json
    }

    /// One call with its story.
    async fn call(&self, query: &Query, dispatch: &Dispatch) -> Option<Arc<CallView>> {
        let id = query.id()?;
        let over = self.history.call(id, query.started_ms());
        if over.is_some() {
            return over;
        }
        dispatch.call_view(&CallId::from(id)).await.map(Arc::new)
    }
}

const JSON: &str = "application/json";

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
