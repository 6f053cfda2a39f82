//! Merges several logs, as if one process had written them all.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::OpenError;
use super::error::not_a_log;
use super::file::LogFile;
use super::lines::{LineReader, for_each_line};
use super::timeline::{Event, Timeline};
use crate::feedback::history::{Act, History, Line, Role};

/// Conflicts that a message names.
const CONFLICTS_SHOWN: usize = 10;

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The logs, in the order given.
    pub inputs: Vec<MergedInput>,
    /// Records of the new log.
    pub written: u64,
}

/// One log that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedInput {
    /// Where it is.
    pub path: PathBuf,
    /// Its records.
    pub records: u64,
    /// Its lines that are not records, which the new log does not contain.
    pub damaged: u64,
}

/// Why logs cannot be merged.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MergeError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("`{}` is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` is both input and output", path.display())]
    OutputIsInput { path: PathBuf },
    #[error("`{}` exists", path.display())]
    Exists { path: PathBuf },
    #[error(transparent)]
    Conflicts(Conflicts),
}

/// Judgments with different verdicts at the same time.
#[derive(Debug, thiserror::Error)]
pub struct Conflicts {
    /// How many there are.
    pub count: usize,
    /// The first few: the id, and two logs that have it.
    pub first: Vec<(String, PathBuf, PathBuf)>,
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.count == 1 { "" } else { "s" };
        write!(f, "{} judgment{s} with different verdicts at the same time:", self.count)?;
        for (id, a, b) in &self.first {
            write!(f, "\n  {id} in {} and {}", a.display(), b.display())?;
        }
        if self.count > self.first.len() {
            write!(f, "\n  and {} more", self.count - self.first.len())?;
        }
        Ok(())
    }
}

/// Makes one log of several.
///
/// Each log keeps its order; between logs the time of a record's last update decides, and what overrides comes after what it overrides. Exact copies
/// of a record in another log are one record. What [`super::compact`] would leave out of the result is left out. Nothing is at `output` before
/// all of it is.
///
/// # Errors
/// When a log cannot be read or is not one, the output cannot be written or is there already, or two logs have different verdicts on one judgment of the
/// same time.
pub fn merge(inputs: &[PathBuf], output: &Path, overwrite: bool) -> Result<Merged, MergeError> {
    let real = output.canonicalize().ok();
    for path in inputs {
        if real.is_some() && path.canonicalize().ok() == real {
            return Err(MergeError::OutputIsInput { path: path.clone() });
        }
        refuse_devices(path)?;
    }
    refuse_devices(output)?;
    // Read before the output is touched.
    let mut sources = Sources::default();
    for path in inputs {
        sources.add(path)?;
    }
    let mut file = LogFile::open(output)?;
    let io_error = |source| OpenError::Io { path: output.to_owned(), source };
    let is_there = file.file.metadata().map_err(io_error)?.len() > 0;
    if is_there && !overwrite {
        return Err(MergeError::Exists { path: output.to_owned() });
    }
    let Sources { timeline, history, inputs, mut readers } = sources;
    let (events, opinions) = timeline.merged(history);
    let lines = opinions.into_lines();
    Verdicts { inputs: &inputs, readers: &mut readers, events: &events }.check(&lines)?;
    let mut written = 0;
    let mut line = Vec::new();
    let staged = file.stage(|writer| {
        for kept in lines.iter().filter(|line| !line.is_dispensable()) {
            let Event { file, offset, .. } = events[kept.extra];
            readers[file].read(offset, &mut line)?;
            line.push(b'\n');
            writer.write_all(&line)?;
            written += 1;
        }
        Ok(())
    })?;
    if is_there { file.exchange(staged) } else { file.continue_in(staged, 0) }?;
    Ok(Merged { inputs, written })
}

/// It can be read only once, or is not a file at all.
fn refuse_devices(path: &Path) -> Result<(), MergeError> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(OpenError::Directory { path: path.to_owned() }.into()),
        Ok(metadata) if !metadata.is_file() => Err(MergeError::NotAFile { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// What is known about the logs before anything is written.
#[derive(Default)]
struct Sources {
    timeline: Timeline,
    history: History<usize>,
    inputs: Vec<MergedInput>,
    readers: Vec<LineReader>,
}

impl Sources {
    fn add(&mut self, path: &Path) -> Result<(), OpenError> {
        let io_error = |source| OpenError::Io { path: path.to_owned(), source };
        let log = File::open(path).map_err(io_error)?;
        let (mut records, mut damaged) = (0, 0);
        // A file with only a torn line is a log.
        let mut first_whole = None;
        self.timeline.begin_log();
        for_each_line(&log, |offset, line, facts| {
            let Some(facts) = facts else {
                damaged += 1;
                if first_whole.is_none() && line.ends_with(b"\n") {
                    first_whole = Some(line.to_vec());
                }
                return;
            };
            records += 1;
            let event = self.timeline.add(&facts, line, offset);
            self.history.add(&facts, event as u64, event);
        })
        .map_err(io_error)?;
        if let (0, Some(line)) = (records, first_whole) {
            return Err(not_a_log(path, &line));
        }
        self.readers.push(LineReader::new(log).map_err(io_error)?);
        self.inputs.push(MergedInput { path: path.to_owned(), records, damaged });
        Ok(())
    }
}

/// The verdicts of the merged logs.
struct Verdicts<'a> {
    inputs: &'a [MergedInput],
    readers: &'a mut [LineReader],
    events: &'a [Event],
}

impl Verdicts<'_> {
    /// Fails if a verdict that would be in force has a different value in another log at the same time.
    fn check(&mut self, lines: &[Line<usize>]) -> Result<(), MergeError> {
        let verdicts = lines.iter().filter(|line| line.is_own && line.step.act == Act::Verdict);
        let mut verdicts: Vec<_> = verdicts.collect();
        verdicts.sort_unstable_by_key(|line| (line.step.id, line.step.place));
        let mut conflicts = Conflicts { count: 0, first: Vec::new() };
        for of_id in verdicts.chunk_by(|a, b| a.step.id == b.step.id) {
            let [others @ .., last] = of_id else { continue };
            if others.is_empty() || last.step.role != Role::Verdict || last.step.is_marked {
                continue;
            }
            let event = self.events[last.extra];
            for other in others.iter().map(|line| self.events[line.extra]) {
                let same_time = other.file != event.file && other.last_update_time_ms == event.last_update_time_ms;
                if same_time && self.value(other)? != self.value(event)? {
                    conflicts.count += 1;
                    if conflicts.first.len() < CONFLICTS_SHOWN {
                        let path = |event: Event| self.inputs[event.file].path.clone();
                        conflicts.first.push((last.step.id.to_string(), path(other), path(event)));
                    }
                    break;
                }
            }
        }
        if conflicts.count > 0 {
            return Err(MergeError::Conflicts(conflicts));
        }
        Ok(())
    }

    fn value(&mut self, event: Event) -> Result<Option<serde_json::Value>, OpenError> {
        let record = self.readers[event.file].record(event.offset);
        let io_error = |source| OpenError::Io { path: self.inputs[event.file].path.clone(), source };
        record.map(|feedback| feedback.value).map_err(io_error)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::feedback::log::{OpenLog, OpinionKey, Seen, Standing};
    use crate::feedback::{ErrorCode, Feedback, FeedbackError, Source, SourceType};

    fn id(n: u8) -> String {
        format!("a-{n:032x}")
    }

    /// A verdict on trace `t`, first recorded and updated at these times.
    fn verdict(n: u8, value: i64, create: i64, update: i64) -> Feedback {
        Feedback {
            assessment_id: Some(id(n)),
            name: "j".into(),
            trace_id: Some("t".into()),
            source: Source::llm_judge("m"),
            value: Some(value.into()),
            create_time_ms: create,
            last_update_time_ms: update,
            ..Feedback::default()
        }
    }

    fn error(n: u8, create: i64, update: i64) -> Feedback {
        let error = FeedbackError { error_code: ErrorCode::Timeout.into(), error_message: None, stack_trace: None };
        Feedback { value: None, error: Some(error), ..verdict(n, 0, create, update) }
    }

    fn overriding(n: u8, record: Feedback) -> Feedback {
        Feedback { overrides: Some(id(n)), ..record }
    }

    fn text(records: &[Feedback]) -> String {
        records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect()
    }

    struct Folder(tempfile::TempDir, Vec<PathBuf>);

    impl Folder {
        fn new(logs: &[String]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let paths = (0..logs.len()).map(|i| folder.path().join(format!("{i}.jsonl"))).collect::<Vec<_>>();
            paths.iter().zip(logs).for_each(|(path, log)| std::fs::write(path, log).unwrap());
            Self(folder, paths)
        }

        fn out(&self) -> PathBuf {
            self.0.path().join("all.jsonl")
        }

        fn merge(&self) -> Result<Merged, MergeError> {
            merge(&self.1, &self.out(), false)
        }
    }

    fn merged(logs: &[&[Feedback]]) -> Vec<Feedback> {
        let folder = Folder::new(&logs.iter().map(|log| text(log)).collect::<Vec<_>>());
        let counts = folder.merge().unwrap();
        let all = std::fs::read_to_string(folder.out()).unwrap();
        let records: Vec<_> = all.lines().map(|line| Feedback::from_json(line).unwrap()).collect();
        assert_eq!(counts.written, records.len() as u64);
        records
    }

    #[test]
    fn of_one_id_the_later_record_stays_and_a_verdict_before_any_error() {
        let (old, new) = (verdict(1, 1, 5, 5), verdict(1, 2, 5, 9));
        for logs in [[&old, &new], [&new, &old]] {
            assert_eq!(merged(&logs.map(from_ref)), from_ref(&new));
        }
        let failed = error(1, 5, 99);
        for logs in [[&old, &failed], [&failed, &old]] {
            assert_eq!(merged(&logs.map(from_ref)), from_ref(&old));
        }
        assert_eq!(merged(&[&[error(1, 5, 5)], &[error(1, 5, 6)]]), [error(1, 5, 6)]);
        assert_eq!(merged(&[from_ref(&old), from_ref(&old)]), [old]);
    }

    #[test]
    fn a_verdict_that_was_marked_invalid_in_one_log_is_so_in_the_merged_one() {
        let (valid, later) = (verdict(1, 1, 5, 5), verdict(1, 2, 5, 9));
        let invalid = Feedback { valid: Some(false), ..valid.clone() };
        let marked = [valid.clone(), invalid.clone()];
        assert_eq!(merged(&[&marked, from_ref(&valid)]), marked);
        assert_eq!(merged(&[from_ref(&valid), &marked]), marked);
        assert_eq!(merged(&[from_ref(&invalid), from_ref(&valid)]), marked, "of one time the mark comes later");
        assert_eq!(merged(&[&marked, from_ref(&later)]), from_ref(&later), "it was asked again");
    }

    #[test]
    fn within_one_log_the_later_line_stays_whatever_the_clock_said() {
        assert_eq!(merged(&[&[verdict(1, 1, 5, 9), verdict(1, 2, 5, 5)]]), [verdict(1, 2, 5, 5)]);
    }

    #[test]
    fn each_log_keeps_its_order_and_between_logs_the_time_decides() {
        let logs: [&[Feedback]; 2] =
            [&[verdict(3, 0, 3, 3), verdict(1, 0, 1, 1)], &[verdict(2, 0, 2, 2), verdict(4, 0, 1, 1)]];
        let ids: Vec<_> = merged(&logs).into_iter().map(|record| record.assessment_id.unwrap()).collect();
        assert_eq!(ids, [id(2), id(4), id(3), id(1)]);
        // A person's clock does not move our records.
        let human =
            Feedback { source: Source { source_type: SourceType::Human, source_id: None }, ..verdict(9, 9, 99, 99) };
        let all = merged(&[
            &[verdict(1, 0, 1, 1), human.clone(), verdict(3, 0, 3, 3)],
            &[verdict(2, 0, 2, 2), verdict(4, 0, 4, 4)],
        ]);
        assert_eq!(all, [verdict(1, 0, 1, 1), verdict(2, 0, 2, 2), human, verdict(3, 0, 3, 3), verdict(4, 0, 4, 4)]);
    }

    #[test]
    fn what_overrides_comes_after_what_it_overrides_whatever_the_clocks_said() {
        // The machine that changed the prompt was late.
        let (one, two, three) =
            (verdict(1, 1, 50, 50), overriding(1, verdict(2, 2, 30, 30)), overriding(2, verdict(3, 3, 10, 10)));
        let all = merged(&[from_ref(&two), &[three.clone(), one.clone()]]);
        assert_eq!(all, [one, two, three]);
    }

    #[test]
    fn a_verdict_that_holds_again_still_holds_after_a_merge() {
        let first = [verdict(1, 1, 1, 1), overriding(1, verdict(2, 2, 2, 2))];
        let back = overriding(2, verdict(1, 1, 1, 3));
        let forth = overriding(1, verdict(2, 2, 2, 4));
        let holds = |records: &[Feedback], n: u8| {
            let folder = Folder::new(&[text(records)]);
            let index = OpenLog::read_index(&folder.1[0]).unwrap();
            let key = OpinionKey::new(Some("t"), None, "j", &Source::llm_judge("m"));
            index.look_up(key, id(n).parse().unwrap())
                == Seen::Judged { standing: Standing::Number(n.into()), overrides: None }
        };
        for logs in [[&first[..], from_ref(&back)], [from_ref(&back), &first[..]]] {
            let all = merged(&logs);
            assert_eq!(all, [first[1].clone(), back.clone()]);
            assert!(holds(&all, 1) && !holds(&all, 2));
        }
        let all = merged(&[&first, from_ref(&back), from_ref(&forth)]);
        assert_eq!(all, [back, forth]);
        assert!(holds(&all, 2) && !holds(&all, 1));
        // A cycle of three, in three logs: the latest comes last.
        let [one, two, three] = [
            overriding(3, verdict(1, 1, 1, 9)),
            overriding(1, verdict(2, 2, 2, 2)),
            overriding(2, verdict(3, 3, 3, 3)),
        ];
        let all = merged(&[from_ref(&three), from_ref(&one), from_ref(&two)]);
        assert_eq!(all, [two, three, one]);
    }

    #[test]
    fn two_verdicts_of_one_time_are_a_conflict_if_they_differ_and_nothing_is_written() {
        let folder = Folder::new(&[
            text(&[verdict(1, 1, 5, 5), verdict(2, 1, 5, 5)]),
            text(&[verdict(1, 2, 5, 5), verdict(2, 1, 6, 5)]),
            text(&[error(1, 5, 99)]),
        ]);
        let message = folder.merge().unwrap_err().to_string();
        let expected = format!("\n  {} in {} and {}", id(1), folder.1[0].display(), folder.1[1].display());
        assert!(message.starts_with("1 judgment ") && message.ends_with(&expected), "{message}");
        assert!(!folder.out().exists());
        // A later one settles it.
        let settled = [&[verdict(1, 1, 5, 5)][..], &[verdict(1, 2, 5, 5)], &[verdict(1, 3, 5, 6)]];
        assert_eq!(merged(&settled), [verdict(1, 3, 5, 6)]);
    }

    #[test]
    fn many_conflicts_are_counted_and_some_are_named() {
        let log = |value| text(&(0..12).map(|n| verdict(n, value, 5, 5)).collect::<Vec<_>>());
        let message = Folder::new(&[log(1), log(2)]).merge().unwrap_err().to_string();
        assert_eq!(message.matches("\n  a-").count(), 10, "{message}");
        assert!(message.starts_with("12 judgments ") && message.ends_with("and 2 more"), "{message}");
    }

    #[test]
    fn others_records_stay_and_their_exact_copies_do_not() {
        let human = Source { source_type: SourceType::Human, source_id: Some("kim".into()) };
        let person = |value, id: Option<String>| Feedback {
            source: human.clone(),
            assessment_id: id,
            ..verdict(9, value, 7, 7)
        };
        let nameless = Feedback { assessment_id: None, ..verdict(9, 3, 8, 8) };
        // The id of a person's record may look like one of ours, as MLflow's do.
        let one = [person(1, Some(id(1))), person(1, None), nameless.clone()];
        let two = [person(2, Some(id(1))), person(1, None), nameless.clone(), verdict(1, 5, 9, 9)];
        let all = merged(&[&one, &two, &one]);
        assert_eq!(
            all,
            [person(1, Some(id(1))), person(1, None), person(2, Some(id(1))), nameless, verdict(1, 5, 9, 9)]
        );
    }

    #[test]
    fn damaged_lines_are_counted_and_a_file_that_is_not_a_log_is_refused() {
        let whole = text(&[verdict(1, 1, 5, 5)]);
        let folder =
            Folder::new(&[format!("\nbroken\n{whole}{}", &whole[..40]), String::new(), whole[..40].to_owned()]);
        let counts = folder.merge().unwrap();
        let numbers: Vec<_> = counts.inputs.iter().map(|input| (input.records, input.damaged)).collect();
        assert_eq!((numbers, counts.written), (vec![(1, 2), (0, 0), (0, 1)], 1));
        assert_eq!(std::fs::read_to_string(folder.out()).unwrap(), whole);
        let folder = Folder::new(&[whole, "{\"inputs\":1}\n".to_owned()]);
        assert!(matches!(folder.merge(), Err(MergeError::Open(OpenError::NotALog { .. }))));
        assert!(!folder.out().exists());
    }

    #[test]
    fn an_output_that_exists_is_replaced_only_where_that_is_asked_for() {
        let (old, new) = (text(&[verdict(1, 1, 5, 5)]), text(&[verdict(2, 2, 5, 5)]));
        let folder = Folder::new(from_ref(&new));
        let out = folder.out();
        std::fs::write(&out, &old).unwrap();
        assert!(matches!(folder.merge(), Err(MergeError::Exists { .. })));
        assert_eq!(std::fs::read_to_string(&out).unwrap(), old);
        merge(&folder.1, &out, true).unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), new);
        assert_eq!(std::fs::read_to_string(folder.0.path().join("all.jsonl.bak")).unwrap(), old);
        let as_input = [folder.1[0].clone(), folder.0.path().join("./all.jsonl")];
        assert!(matches!(merge(&as_input, &out, true), Err(MergeError::OutputIsInput { .. })));
        assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 3, "nothing else is left");
    }
}
