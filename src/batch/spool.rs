//! Requests on their way into batches: one file per batch, in OpenAI's format, from which every other is made.
//!
//! Source: OpenAI's Batch API guide: a line is `{"custom_id", "method", "url", "body"}`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::BatchError;
use super::ids::{IdsWriter, ids_of};
use super::ledger::{Batch, Ledger, Planned, now_ms};
use super::session::BY_FILE;
use crate::feedback::AssessmentId;

/// The folder of requests and results on their way: `feedback.jsonl` -> `feedback.batches`.
pub fn folder_of(log: &Path) -> PathBuf {
    log.with_extension("batches")
}

/// The path of chat completions, as batches name it.
pub(crate) const CHAT_COMPLETIONS: &str = "/v1/chat/completions";

/// How large a batch may be; `None` means as large as the provider takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchLimits {
    /// Requests.
    pub requests: Option<usize>,
    /// Bytes of the file.
    pub bytes: Option<u64>,
    /// Tokens of all prompts and answers at most.
    pub tokens: Option<u64>,
}

impl BatchLimits {
    /// The lower of each.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests.into_iter().chain(other.requests).min(),
            bytes: self.bytes.into_iter().chain(other.bytes).min(),
            tokens: self.tokens.into_iter().chain(other.tokens).min(),
        }
    }

    fn allow(&self, requests: usize, bytes: u64, tokens: u64) -> bool {
        self.requests.is_none_or(|most| requests <= most.max(1))
            && self.bytes.is_none_or(|most| bytes <= most)
            && self.tokens.is_none_or(|most| tokens <= most)
    }
}

/// A whole file of requests, which is on disk.
#[derive(Debug)]
pub struct Shard {
    /// What the ledger says of it.
    pub planned: Planned,
}

/// Takes in requests, for one model after the other or for several at once.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    lanes: Vec<Lane>,
    sealed: Vec<Shard>,
}

#[derive(Debug)]
struct Lane {
    source_id: String,
    address: String,
    limits: BatchLimits,
    open: Option<OpenShard>,
}

#[derive(Debug)]
struct OpenShard {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    ids: IdsWriter,
    planned: Planned,
}

#[derive(Serialize)]
struct Line<'a> {
    custom_id: &'a str,
    method: &'static str,
    url: &'static str,
    body: &'a RawValue,
}

impl Spool {
    /// In this folder, which is made if it is needed. Each lane is a model URI, where it is asked, and how large its batches may be.
    pub fn new(folder: &Path, lanes: impl IntoIterator<Item = (String, String, BatchLimits)>) -> Self {
        let lane = |(source_id, address, limits)| Lane { source_id, address, limits, open: None };
        Self { folder: folder.to_owned(), lanes: lanes.into_iter().map(lane).collect(), sealed: Vec::new() }
    }

    /// Takes in a request of the lane with this model URI. The first id is that of the judgment, the others are those that the same answer answers.
    ///
    /// # Errors
    /// When it cannot be written. What was taken in before stays as it was.
    pub fn add(
        &mut self,
        source_id: &str,
        ids: &[AssessmentId],
        body: &[u8],
        tokens: u64,
        cost: Option<f64>,
    ) -> Result<(), BatchError> {
        let folder = self.folder.clone();
        let file_error = |error: io::Error| BatchError::file(&folder)(error);
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.source_id == source_id) else {
            return Err(BatchError::NoBatches { endpoint: source_id.to_owned() });
        };
        let custom_id = ids.first().map(ToString::to_string).unwrap_or_default();
        let body = std::str::from_utf8(body).map_err(io::Error::other).map_err(file_error)?;
        let body = serde_json::from_str(body).map_err(|error| file_error(error.into()))?;
        let line = Line { custom_id: &custom_id, method: "POST", url: CHAT_COMPLETIONS, body };
        let mut line = serde_json::to_vec(&line).map_err(|error| file_error(error.into()))?;
        line.push(b'\n');
        let length = line.len() as u64;
        if let Some(open) = &lane.open
            && !lane.limits.allow(open.planned.requests + 1, open.planned.bytes + length, open.planned.tokens + tokens)
            && let Some(full) = lane.open.take()
        {
            self.sealed.push(full.seal().map_err(file_error)?);
        }
        if lane.open.is_none() {
            lane.open = Some(OpenShard::begin(&folder, &lane.source_id, &lane.address).map_err(file_error)?);
        }
        let Some(open) = &mut lane.open else { return Ok(()) };
        open.add(&line).and_then(|()| open.ids.add(ids)).map_err(file_error)?;
        let planned = &mut open.planned;
        planned.tokens += tokens;
        planned.cost = cost.map(|cost| planned.cost.unwrap_or(0.0) + cost).or(planned.cost);
        Ok(())
    }

    /// All files,on disk.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn seal(mut self) -> Result<Vec<Shard>, BatchError> {
        for open in self.lanes.iter_mut().filter_map(|lane| lane.open.take()) {
            self.sealed.push(open.seal().map_err(BatchError::file(&self.folder))?);
        }
        Ok(self.sealed)
    }
}

impl OpenShard {
    fn begin(folder: &Path, source_id: &str, address: &str) -> io::Result<Self> {
        make_private(folder)?;
        let batch = new_name();
        let file = File::create_new(requests_of(folder, &batch))?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 16, file),
            hasher: blake3::Hasher::new(),
            ids: IdsWriter::begin(folder, &batch)?,
            planned: Planned {
                batch,
                time_ms: now_ms(),
                source_id: source_id.to_owned(),
                address: address.to_owned(),
                requests: 0,
                bytes: 0,
                tokens: 0,
                cost: None,
                blake3: String::new(),
            },
        })
    }

    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.hasher.update(line);
        self.planned.requests += 1;
        self.planned.bytes += line.len() as u64;
        Ok(())
    }

    fn seal(self) -> io::Result<Shard> {
        let Self { file, hasher, ids, mut planned } = self;
        ids.seal()?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        planned.blake3 = hasher.finalize().to_hex().to_string();
        Ok(Shard { planned })
    }
}

/// Two parts of a batch, as files of their own: the requests for which `is_first` holds, by their number from 0, and the others.
///
/// # Errors
/// When they cannot be read or written.
pub(crate) fn split(
    folder: &Path,
    ledger: &Ledger,
    batch: &Batch,
    is_first: impl Fn(usize) -> bool,
) -> Result<Vec<Planned>, BatchError> {
    let whole = &batch.planned;
    let path = requests_of(folder, &whole.batch);
    let error = |error: io::Error| BatchError::file(&path)(error);
    // Where results are imported, the requests may have stayed on another machine.
    let text = match File::open(&path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound && whole.address == BY_FILE => None,
        text => Some(text.map(io::BufReader::new).map_err(error)?),
    };
    let begin = || OpenShard::begin(folder, &whole.source_id, &whole.address).map_err(error);
    let mut parts = [begin()?, begin()?];
    let has_text = text.is_some();
    for (i, line) in text.into_iter().flat_map(|text| io::BufRead::split(text, b'\n')).enumerate() {
        let mut line = line.map_err(error)?;
        line.push(b'\n');
        parts[usize::from(!is_first(i))].add(&line).map_err(error)?;
    }
    let mut i = 0;
    ledger.for_each_ids(batch, |ids| {
        let part = usize::from(!is_first(i));
        i += 1;
        parts[part].planned.requests += usize::from(!has_text);
        parts[part].ids.add(ids).map_err(error)
    })?;
    let share = |part: &Planned| part.requests as u64;
    let mut planned = Vec::new();
    for part in parts {
        let mut part = part.seal().map_err(error)?.planned;
        part.tokens = whole.tokens * share(&part) / share(whole).max(1);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let ratio = share(&part) as f64 / share(whole).max(1) as f64;
        part.cost = whole.cost.map(|cost| cost * ratio);
        planned.push(part);
    }
    Ok(planned)
}

/// Names sort by time, and are never the same.
fn new_name() -> String {
    format!("judge-run-{:013x}-{:016x}", now_ms(), fastrand::u64(..))
}

/// The file of a batch's requests.
pub(crate) fn requests_of(folder: &Path, batch: &str) -> PathBuf {
    folder.join(format!("{batch}.requests.jsonl"))
}

/// The file of what came of them.
pub(crate) fn results_of(folder: &Path, batch: &str) -> PathBuf {
    folder.join(format!("{batch}.results.jsonl"))
}

/// All files of a batch.
pub(crate) fn files_of(folder: &Path, batch: &str) -> [PathBuf; 3] {
    [requests_of(folder, batch), results_of(folder, batch), ids_of(folder, batch)]
}

/// A folder for the texts of traces: for nobody else to read.
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Entry;
    use super::*;

    fn id(n: u128) -> AssessmentId {
        format!("a-{n:032x}").parse().unwrap()
    }

    fn spool(folder: &Path, limits: BatchLimits) -> Spool {
        Spool::new(folder, [("e:/m".to_owned(), "http://h/v1".to_owned(), limits)])
    }

    fn shards(limits: BatchLimits) -> Vec<(usize, u64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = spool(folder.path(), limits);
        for n in 0..5 {
            spool.add("e:/m", &[id(n)], b"{\"x\":1}", 10, Some(0.5)).unwrap();
        }
        let shards = spool.seal().unwrap();
        for Shard { planned } in &shards {
            let text = std::fs::read(requests_of(folder.path(), &planned.batch)).unwrap();
            assert_eq!((text.len() as u64, blake3::hash(&text).to_hex().as_str()), (planned.bytes, &*planned.blake3));
        }
        shards.iter().map(|shard| (shard.planned.requests, shard.planned.bytes, shard.planned.tokens)).collect()
    }

    #[test]
    fn a_batch_is_full_by_requests_bytes_or_tokens() {
        let line = shards(BatchLimits::default())[0].1 / 5;
        let counts = |limits| shards(limits).iter().map(|shard| shard.0).collect::<Vec<_>>();
        assert_eq!(counts(BatchLimits::default()), [5]);
        assert_eq!(counts(BatchLimits { requests: Some(2), ..BatchLimits::default() }), [2, 2, 1]);
        assert_eq!(counts(BatchLimits { bytes: Some(3 * line), ..BatchLimits::default() }), [3, 2]);
        assert_eq!(counts(BatchLimits { tokens: Some(25), ..BatchLimits::default() }), [2, 2, 1]);
        assert_eq!(counts(BatchLimits { tokens: Some(5), ..BatchLimits::default() }), [1; 5], "one may always be sent");
    }

    #[test]
    fn a_line_is_as_openai_documents_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = spool(folder.path(), BatchLimits::default());
        spool.add("e:/m", &[id(1), id(2)], b"{\"model\":\"m\"}", 1, None).unwrap();
        let shards = spool.seal().unwrap();
        let text = std::fs::read_to_string(requests_of(folder.path(), &shards[0].planned.batch)).unwrap();
        let custom_id = id(1);
        assert_eq!(
            text,
            format!(
                "{{\"custom_id\":\"{custom_id}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{{\"model\":\"m\"}}}}\n"
            )
        );
        let ids = std::fs::read_to_string(ids_of(folder.path(), &shards[0].planned.batch)).unwrap();
        assert!(ids.contains(&format!("\"ids\":[\"{} {}\"]", id(1), id(2))), "{ids}");
    }

    #[test]
    fn parts_have_all_requests_between_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = spool(folder.path(), BatchLimits::default());
        for n in 0..5 {
            spool.add("e:/m", &[id(n)], b"{}", 10, Some(1.0)).unwrap();
        }
        let whole = spool.seal().unwrap().remove(0).planned;
        let name = whole.batch.clone();
        let mut ledger = Ledger::open(&folder.path().join("x.batches.jsonl")).unwrap();
        ledger.begin(Entry::Planned(whole), folder.path()).unwrap();
        let into = split(folder.path(), &ledger, ledger.get(&name).unwrap(), |i| i < 3).unwrap();
        assert_eq!(into.iter().map(|half| half.requests).collect::<Vec<_>>(), [3, 2]);
        assert_eq!((into[0].tokens, into[1].cost), (30, Some(2.0)));
        ledger.begin(Entry::Split { batch: name, into }, folder.path()).unwrap();
        let mut ids = Vec::new();
        for half in ledger.batches().filter(|batch| batch.is_open()) {
            let take = |of_request: &[AssessmentId]| {
                ids.extend_from_slice(of_request);
                Ok(())
            };
            ledger.for_each_ids(half, take).unwrap();
        }
        ids.sort();
        assert_eq!(ids, (0..5).map(id).collect::<Vec<_>>());
    }
}
