//! The routes of the page: itself, its files, one item after another, and decisions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use judge_run_web::{Answer, BodyError, Method, Request, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::board::{Board, BoardError};
use super::decision::{self, Outcome};
use super::guard::{Entry, Guard};
use super::page;

/// Only a script of the page can send this: no form and no other site can.
const SENT_BY_PAGE: header::HeaderName = header::HeaderName::from_static("x-judge-run");
const MAX_NAME: usize = 200;

/// The server's answers.
pub struct Review {
    board: Mutex<Board>,
    guard: Guard,
    /// Who reviews, where it is not asked.
    annotator: Option<String>,
    last_seen: Mutex<Instant>,
}

/// What the page sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent<T> {
    /// Who says so.
    by: String,
    what: T,
}

impl Review {
    /// The API of a board, for those that the guard admits.
    pub fn new(board: Board, guard: Guard, annotator: Option<String>) -> Self {
        Self { board: Mutex::new(board), guard, annotator, last_seen: Mutex::new(Instant::now()) }
    }

    /// Completes after this long without a request.
    pub async fn idle(&self, patience: Duration) {
        loop {
            let last = *self.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= patience {
                return;
            }
            tokio::time::sleep_until(last + patience).await;
        }
    }

    /// Answers a request.
    pub async fn answer(self: Arc<Self>, request: Request) -> Answer {
        let answer = match self.guard.check(&request) {
            Entry::Answer(answer) => answer,
            Entry::Stranger => self.stranger(&request).await,
            Entry::Allowed => {
                *self.last_seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                // Files block.
                let this = Arc::clone(&self);
                let work = tokio::task::spawn_blocking(move || this.route(&request));
                work.await.unwrap_or_else(|_| problem(500, "failed", "this request failed"))
            }
        };
        page::guarded(answer)
    }

    async fn stranger(&self, request: &Request) -> Answer {
        if !self.guard.has_password() {
            return match request.method {
                Method::GET if request.path == "/" => page::closed(),
                _ => Answer::text(403, "Open the address that judge-run printed.\n"),
            };
        }
        match (&request.method, request.path.as_str(), &request.body) {
            (&Method::POST, "/login", Ok(body)) => {
                let body = String::from_utf8_lossy(body).into_owned();
                let form = Request { query: body, ..request.clone() };
                let password = form.parameter("password").unwrap_or_default();
                self.guard.log_in(&password).await.unwrap_or_else(|| page::login(true))
            }
            (&Method::GET, "/", _) => page::login(false),
            (&Method::GET, "/style.css", _) => page::style(),
            _ => Answer::text(403, "A password is required.\n"),
        }
    }

    fn route(&self, request: &Request) -> Answer {
        let segments = request.segments().unwrap_or_default();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), &parts[..]) {
            ("GET" | "HEAD", [""]) => page::shell(&self.boot()),
            ("GET", ["style.css"]) => page::style(),
            ("GET", ["script.js"]) => page::script(),
            ("GET", ["api", "item", at]) => self.item(request, at),
            ("GET", ["api", "next"]) => self.next(request),
            ("POST", ["api", "answer"]) => {
                self.decide(request, |board, by, answer, now_ms| board.answer(by, &answer, now_ms))
            }
            ("POST", ["api", "mark"]) => self.decide(request, |board, by, mark, now_ms| board.mark(by, &mark, now_ms)),
            ("GET" | "HEAD", _) => problem(404, "unknown", "no such page"),
            _ => problem(405, "unknown", "not allowed here").with(header::ALLOW, "GET, POST"),
        }
    }

    /// What the page knows from the start.
    fn boot(&self) -> Value {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let log = board.follower.path().display().to_string();
        json!({
            "annotator": self.annotator,
            "log": log,
            "total": board.queue.len(),
            "labels": board.labels(),
            "comment": decision::COMMENT,
        })
    }

    /// The annotator: the one that the command line names, or the page's.
    fn annotator(&self, said: Option<&str>) -> Result<String, Box<Answer>> {
        let name = self.annotator.as_deref().or(said).unwrap_or_default().trim();
        let is_name = !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
        is_name.then(|| name.to_owned()).ok_or_else(|| Box::new(problem(422, "invalid", "a name is required")))
    }

    fn item(&self, request: &Request, at: &str) -> Answer {
        let Ok(at) = at.parse() else { return problem(404, "unknown", "no such place") };
        let annotator = match self.annotator(request.parameter("by").as_deref()) {
            Ok(annotator) => annotator,
            Err(answer) => return *answer,
        };
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        match board.item(&annotator, at) {
            Ok(Some(item)) => Answer::json(200, item.to_string()),
            Ok(None) => problem(404, "unknown", "no such place"),
            Err(error) => failed(&error),
        }
    }

    /// Where to continue: the next item that is not fully answered.
    fn next(&self, request: &Request) -> Answer {
        let annotator = match self.annotator(request.parameter("by").as_deref()) {
            Ok(annotator) => annotator,
            Err(answer) => return *answer,
        };
        let from = request.parameter("from").and_then(|from| from.parse().ok()).unwrap_or(0);
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = board.catch_up() {
            return failed(&error.into());
        }
        let next = board.next(&annotator, from);
        Answer::json(200, json!({"at": next, "done": board.done(&annotator), "total": board.queue.len()}).to_string())
    }

    fn decide<T: for<'a> Deserialize<'a>>(
        &self,
        request: &Request,
        decide: impl Fn(&mut Board, &str, T, i64) -> Outcome,
    ) -> Answer {
        let is_json = request.header(&header::CONTENT_TYPE).is_some_and(|text| text.starts_with("application/json"));
        if !is_json || request.header(&SENT_BY_PAGE).is_none() {
            return problem(403, "refused", "only the page itself may do that");
        }
        let body = match &request.body {
            Ok(body) => body,
            Err(BodyError::TooLong) => return problem(413, "invalid", "the request is too long"),
            Err(BodyError::TooSlow) => return problem(408, "failed", "the request took too long"),
            Err(BodyError::Broken) => return problem(400, "failed", "the request is incomplete"),
        };
        let Sent { by, what } = match serde_json::from_slice::<Sent<T>>(body) {
            Ok(sent) => sent,
            Err(error) => return problem(400, "invalid", &error.to_string()),
        };
        let annotator = match self.annotator(Some(&by)) {
            Ok(annotator) => annotator,
            Err(answer) => return *answer,
        };
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        match decide(&mut board, &annotator, what, now_ms()) {
            Outcome::Saved => Answer::json(200, json!({"saved": true, "done": board.done(&annotator)}).to_string()),
            Outcome::Invalid(why) => problem(422, "invalid", &why),
            Outcome::Changed => problem(409, "changed", "it was changed in another window"),
            Outcome::Failed(error) => failed(&error),
        }
    }
}

fn failed(error: &BoardError) -> Answer {
    problem(503, "failed", &error.to_string())
}

fn problem(status: u16, kind: &str, message: &str) -> Answer {
    Answer::json(status, json!({"problem": kind, "message": message}).to_string())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
