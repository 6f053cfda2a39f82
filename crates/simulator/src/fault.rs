//! Which requests go wrong, and how.

use std::fmt;
use std::str::FromStr;

/// One way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// An HTTP error, 400 to 599, with a body as real providers give it.
    Status(u16),
    Quota,
    Reset,
    Close,
    Hang,
    Slow,
    Cut,
    Malformed,
    Html,
    Empty,
    Refusal,
    Filter,
    Truncated,
    Unparseable,
    Range,
    Error200,
    Drip,
    Blank,
    ContentType,
    Array,
    Flat,
    Context,
    Schema,
    Schema500,
    FastApi,
    String,
    Temperature,
    MaxTokens,
    System,
}

/// One row a fault: its name in a plan and what it does.
const NAMED: &[(Fault, &str, &str)] = &[
    (Fault::Quota, "quota", "429 `insufficient_quota`: the account's credit is used up"),
    (Fault::Reset, "reset", "the connection is reset (TCP RST) before any byte of the answer"),
    (Fault::Close, "close", "the connection is closed without an answer"),
    (Fault::Hang, "hang", "no answer until the client gives up"),
    (Fault::Slow, "slow", "a good answer after ten times the latency"),
    (Fault::Cut, "cut", "the connection is closed in the middle of the answer's body"),
    (Fault::Malformed, "malformed", "200 with broken JSON"),
    (Fault::Html, "html", "200 with an HTML page"),
    (Fault::Empty, "empty", "200 with empty content"),
    (Fault::Refusal, "refusal", "200 with a refusal instead of content"),
    (Fault::Filter, "filter", "200 with the finish reason `content_filter` and no content"),
    (Fault::Truncated, "truncated", "200 with the finish reason `length` and half of the content"),
    (Fault::Unparseable, "unparseable", "200 with prose that holds no verdict"),
    (Fault::Range, "range", "200 with a verdict outside of its range"),
    (Fault::Error200, "error200", "200 with an error object instead of choices"),
    (Fault::Drip, "drip", "a good answer byte by byte, a latency apart, but at most 50 ms"),
    (Fault::Blank, "blank", "a good answer after ten blank lines, a latency apart (DeepSeek)"),
    (Fault::ContentType, "content-type", "a good answer under the content type `text/html`"),
    (Fault::Array, "array", "429 with the error in an array (Gemini)"),
    (Fault::Flat, "flat", "429 with a flat error and no wait (Mistral)"),
    (Fault::Context, "context", "400 `context_length_exceeded`"),
    (Fault::Schema, "schema", "400 while the request asks for `json_schema` (DeepSeek)"),
    (Fault::Schema500, "schema500", "500 for the same reason (llama-cpp-python)"),
    (Fault::FastApi, "fastapi", "422 with a list of details, for the same reason (FastAPI)"),
    (Fault::String, "string", "400 with a string as the error, for the same reason (LM Studio)"),
    (Fault::Temperature, "temperature", "400 `unsupported_value` while the request has a temperature"),
    (Fault::MaxTokens, "max_tokens", "400 `unsupported_parameter` while the request has `max_tokens`"),
    (Fault::System, "system", "400 while the request has a system message"),
];

impl Fault {
    /// Whether it rejects a part of the request: then it does not clear, and it is not part of the others' share.
    pub(super) fn depends_on_request(self) -> bool {
        use Fault::{FastApi, MaxTokens, Schema, Schema500, String, System, Temperature};
        matches!(self, Schema | Schema500 | FastApi | String | Temperature | MaxTokens | System)
    }

    /// Whether the answer is good nevertheless.
    pub(super) fn is_harmless(self) -> bool {
        matches!(self, Self::Slow | Self::Drip | Self::Blank | Self::ContentType)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMED.iter().find(|(fault, ..)| fault == self)) {
            (Self::Status(status), _) => write!(f, "{status}"),
            (_, Some((_, name, _))) => f.write_str(name),
            (_, None) => fmt::Debug::fmt(self, f),
        }
    }
}

impl FromStr for Fault {
    type Err = InvalidFaultPlan;

    fn from_str(name: &str) -> Result<Self, InvalidFaultPlan> {
        let named = NAMED.iter().find(|(_, known, _)| *known == name).map(|(fault, ..)| *fault);
        let status = || name.parse().ok().filter(|status| (400..=599).contains(status)).map(Self::Status);
        named.or_else(status).ok_or_else(|| InvalidFaultPlan::UnknownName(name.to_owned()))
    }
}

/// What share of the requests goes wrong in which way, written as `429=5%,500=2%,reset=0.01`.
///
/// A name is an HTTP status from 400 to 599 or one of [`FaultPlan::names`]; a share is a percentage or a fraction with a decimal
/// point, kept to 0.0001 %. The shares add up to at most 100 %, without those of the faults that depend on what the request contains:
/// each of these has its own 100 %.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPlan {
    /// In millionths of all requests.
    shares: Vec<(Fault, u32)>,
    clear_after: u32,
}

/// How often a request with a fault fails before it succeeds, unless the plan says otherwise.
const DEFAULT_CLEAR_AFTER: u32 = 2;
/// All requests, in the unit of the shares.
const ALL: u32 = 1_000_000;

impl FaultPlan {
    /// A request that drew a fault fails `tries` times (2 by default) and then succeeds; 0: it always fails.
    #[must_use]
    pub fn clear_after(mut self, tries: u32) -> Self {
        self.clear_after = tries;
        self
    }

    /// The faults that have a name, each with what it does, for a help text.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        NAMED.iter().map(|(_, name, meaning)| (*name, *meaning))
    }

    /// How often a request fails before it succeeds; 0: it always fails.
    pub(super) fn tries(&self) -> u32 {
        self.clear_after
    }

    /// The fault for a number that is uniform over all of `u64`.
    pub(super) fn draw(&self, number: u64) -> Option<Fault> {
        let mut point = point(number);
        let mut drawn = self.shares.iter().filter(|(fault, _)| !fault.depends_on_request());
        drawn.find_map(|(fault, share)| match point.checked_sub(u128::from(*share)) {
            None => Some(*fault),
            Some(rest) => {
                point = rest;
                None
            }
        })
    }

    /// The faults that depend on the request and apply for this number.
    pub(super) fn standing(&self, number: u64) -> impl Iterator<Item = Fault> {
        let met = self.shares.iter().filter(move |(_, share)| point(number) < u128::from(*share));
        met.map(|(fault, _)| *fault).filter(|fault| fault.depends_on_request())
    }
}

/// Which of all the requests a number means.
fn point(number: u64) -> u128 {
    (u128::from(number) * u128::from(ALL)) >> 64
}

impl Default for FaultPlan {
    /// No faults.
    fn default() -> Self {
        Self { shares: Vec::new(), clear_after: DEFAULT_CLEAR_AFTER }
    }
}

impl FromStr for FaultPlan {
    type Err = InvalidFaultPlan;

    /// The empty text is the plan without faults.
    fn from_str(text: &str) -> Result<Self, InvalidFaultPlan> {
        let mut plan = Self::default();
        let mut sum = 0;
        for entry in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (name, share) = entry.split_once('=').ok_or_else(|| InvalidFaultPlan::NotAPair(entry.to_owned()))?;
            let (name, share) = (name.trim(), share.trim());
            let fault = name.parse()?;
            let millionths = millionths(share)
                .ok_or_else(|| InvalidFaultPlan::NotAShare { name: name.to_owned(), share: share.to_owned() })?;
            if plan.shares.iter().any(|(known, _)| *known == fault) {
                return Err(InvalidFaultPlan::Twice(name.to_owned()));
            }
            plan.shares.push((fault, millionths));
            let mut own = 0;
            let sum = if fault.depends_on_request() { &mut own } else { &mut sum };
            *sum += u64::from(millionths);
            if *sum > u64::from(ALL) {
                return Err(InvalidFaultPlan::MoreThanAll(percent(*sum as f64)));
            }
        }
        Ok(plan)
    }
}

fn millionths(share: &str) -> Option<u32> {
    let (number, unit) = match share.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), f64::from(ALL) / 100.0),
        // `5` could be meant as 5 % and `1` as 1 % or as all: without a point or a percent sign it is rejected.
        None => (share.contains('.').then_some(share)?, f64::from(ALL)),
    };
    let millionths = (number.parse::<f64>().ok()? * unit).round();
    (0.0..=f64::from(u32::MAX)).contains(&millionths).then_some(millionths as u32)
}

fn percent(millionths: f64) -> f64 {
    millionths / (f64::from(ALL) / 100.0)
}

impl fmt::Display for FaultPlan {
    /// The form that is read back; what [`FaultPlan::clear_after`] says is not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shares.iter().enumerate().try_for_each(|(i, (fault, share))| {
            write!(f, "{}{fault}={}%", if i == 0 { "" } else { "," }, percent(f64::from(*share)))
        })
    }
}

fn all_names() -> String {
    FaultPlan::names().map(|(name, _)| format!(", {name}")).collect()
}

/// Why a text is not a [`FaultPlan`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidFaultPlan {
    /// An entry without `=`.
    #[error("`{0}` is not a fault with a share, such as `429=5%`")]
    NotAPair(String),
    /// A name that no fault has.
    #[error("unknown fault `{0}`, expected any HTTP status from 400 to 599{names}", names = all_names())]
    UnknownName(String),
    /// A share that is neither a percentage nor a fraction.
    #[error(
        "invalid share in `{name}={share}`: write a percentage or a fraction, such as `{name}=5%` or `{name}=0.05`"
    )]
    NotAShare {
        /// The fault.
        name: String,
        /// The text after the `=`.
        share: String,
    },
    /// The same fault again.
    #[error("the fault `{0}` is given twice")]
    Twice(String),
    /// Shares that add up to more than 100 %; the sum in percent.
    #[error("the shares add up to {0} %, more than 100 %")]
    MoreThanAll(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<FaultPlan>().unwrap_err().to_string()
    }

    #[test]
    fn a_plan_is_read_and_printed() {
        for (text, printed) in [
            ("", ""),
            ("429=5%,500=2%,reset=1%,hang=1%,malformed=1%", "429=5%,500=2%,reset=1%,hang=1%,malformed=1%"),
            (" 429 = 0.05 , quota=0.07", "429=5%,quota=7%"),
            ("529=0.5 %,slow=.001", "529=0.5%,slow=0.1%"),
            ("error200=100%", "error200=100%"),
            ("empty=1.0", "empty=100%"),
            ("500=100%,schema=100%,max_tokens=100%", "500=100%,schema=100%,max_tokens=100%"),
        ] {
            let plan: FaultPlan = text.parse().unwrap();
            assert_eq!(plan.to_string(), printed);
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }

    #[test]
    fn every_name_is_a_fault_and_prints_as_itself() {
        for (name, _) in FaultPlan::names() {
            assert_eq!(name.parse::<Fault>().unwrap().to_string(), name);
        }
        assert_eq!("404".parse(), Ok(Fault::Status(404)));
        assert_eq!(FaultPlan::names().count(), 28);
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_said() {
        assert_eq!(error("5"), "`5` is not a fault with a share, such as `429=5%`");
        assert_eq!(
            error("429=5"),
            "invalid share in `429=5`: write a percentage or a fraction, such as `429=5%` or `429=0.05`"
        );
        for share in ["429=", "429=1", "429=x%", "429=-1%", "429=nan%", "429=inf%", "429=5%%"] {
            assert!(error(share).contains("invalid share in `429="), "{share}");
        }
        assert_eq!(error("429=5%,,500=1%"), "`` is not a fault with a share, such as `429=5%`");
        assert_eq!(error("hang=1%,hang=2%"), "the fault `hang` is given twice");
        assert_eq!(error("429=99%,500=1.5%"), "the shares add up to 100.5 %, more than 100 %");
        assert_eq!(error("500=9%,system=101%"), "the shares add up to 101 %, more than 100 %");
        assert_eq!(error("429=150%"), "the shares add up to 150 %, more than 100 %");
        let unknown = error("399=1%");
        assert!(unknown.starts_with("unknown fault `399`, expected any HTTP status from 400 to 599, quota, reset"));
        assert!(FaultPlan::names().all(|(name, _)| unknown.contains(name)), "{unknown}");
    }

    #[test]
    fn faults_of_the_request_stand_beside_those_that_are_drawn() {
        let plan: FaultPlan = "system=50%,500=100%,temperature=100%".parse().unwrap();
        assert_eq!(plan.draw(0), Some(Fault::Status(500)));
        assert_eq!(plan.standing(0).collect::<Vec<_>>(), [Fault::System, Fault::Temperature]);
        assert_eq!(plan.standing(u64::MAX).collect::<Vec<_>>(), [Fault::Temperature]);
    }

    #[test]
    fn faults_are_drawn_by_their_shares() {
        let plan: FaultPlan = "429=25%,reset=50%".parse().unwrap();
        let quarter = u64::MAX / 4;
        let drawn = [0, quarter - 1, quarter + (1 << 50), 3 * quarter - 1, 3 * quarter + (1 << 50), u64::MAX];
        let status = Some(Fault::Status(429));
        assert_eq!(drawn.map(|n| plan.draw(n)), [status, status, Some(Fault::Reset), Some(Fault::Reset), None, None]);
        let all: FaultPlan = "close=100%".parse().unwrap();
        assert_eq!(all.draw(u64::MAX), Some(Fault::Close));
        assert_eq!(FaultPlan::default().draw(0), None);
    }
}
