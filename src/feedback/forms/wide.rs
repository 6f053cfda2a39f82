//! Feedback as a wide table: one row for each trace, or span, document or session that was judged, and columns for each judge.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Write;

use ::csv::StringRecord;

use super::cell::{cell, replace_controls, text, value, value_text};
use super::csv::check_width;
use super::write::{CONTROLS, Losses, failed};
use super::{ConvertError, INCLUDED, TableOptions};
use crate::feedback::log::LineReader;
use crate::feedback::{DOCUMENT_METADATA, Feedback, FeedbackError, SESSION_METADATA, Source, SourceType};

/// What a row is about. Only the first of them is always a column.
const SUBJECT: [&str; 4] = ["trace_id", "span_id", DOCUMENT_METADATA, "session_id"];

/// The separator between the parts of a title, which are in snake case: `safety__openai_gpt_4_1_mini__rationale`.
const JOINT: &str = "__";
/// What the columns of a judge hold, in addition to the value.
const ERROR_CODE: &str = "error_code";
const RATIONALE: &str = "rationale";

/// What the table lacks.
const NOT_SHOWN: &str = "ids, times, types of sources, and the spelling of names";
const NOT_VALID: &str = "records that are not valid";
const NO_CELL: &str = "records replaced in their cell by a later one of the same judge, source and row";
const NO_TRACE: &str = "records without a trace_id";

/// The ids of trace and span, the place of the document, the id of the session.
type Subject = [Option<String>; 4];

/// A judge's name, and the source of the verdicts. Columns are in this order.
type Judge = (String, Option<String>, &'static str);

/// Where the records of the table are in the log.
#[derive(Default)]
pub(super) struct Wide {
    rows: Vec<(Subject, Vec<Cell>)>,
    row_of: HashMap<Subject, usize>,
    judges: BTreeMap<Judge, u32>,
}

struct Cell {
    judge: u32,
    offset: u64,
}

impl Wide {
    /// Adds a record of the present state, in the log's order. Of several by the same judge and source about the same thing, the latest has the cell:
    /// the opinion stands as that.
    pub(super) fn add(&mut self, offset: u64, feedback: &Feedback, lost: &mut Losses) {
        if feedback.trace_id.is_none() {
            return lost.count(NO_TRACE);
        }
        if feedback.valid == Some(false) {
            return lost.count(NOT_VALID);
        }
        let session_id = feedback.metadata.get(SESSION_METADATA).cloned();
        let document = feedback.document_index().map(|index| index.to_string());
        let shown = usize::from(session_id.is_some()) + usize::from(document.is_some());
        let has_more_metadata = feedback.metadata.len() > shown;
        let subject = [feedback.trace_id.clone(), feedback.span_id.clone(), document, session_id];
        let row = *self.row_of.entry(subject.clone()).or_insert(self.rows.len());
        if row == self.rows.len() {
            self.rows.push((subject, Vec::new()));
        }
        let new = u32::try_from(self.judges.len()).unwrap_or(u32::MAX);
        let source = &feedback.source;
        let judge = (feedback.name.clone(), source.source_id.clone(), source.source_type.as_str());
        let judge = *self.judges.entry(judge).or_insert(new);
        let cells = &mut self.rows[row].1;
        match cells.iter_mut().find(|cell| cell.judge == judge) {
            None => cells.push(Cell { judge, offset }),
            Some(earlier) => {
                *earlier = Cell { judge, offset };
                return lost.count(NO_CELL);
            }
        }
        lost.count(NOT_SHOWN);
        if has_more_metadata {
            lost.count("metadata");
        }
        if feedback.error.as_ref().is_some_and(|error| error.error_message.is_some() || error.stack_trace.is_some()) {
            lost.count("error message and stack trace");
        }
    }

    /// Writes the table, with the records from `log`; returns the number of rows.
    pub(super) fn write(
        &self,
        log: &File,
        table: &mut TableOptions<'_>,
        out: &mut dyn Write,
        lost: &mut Losses,
    ) -> Result<u64, ConvertError> {
        let mut lines = log.try_clone().and_then(LineReader::new).map_err(ConvertError::Read)?;
        let mut writer = ::csv::Writer::from_writer(out);
        let shown: Vec<_> = (0..SUBJECT.len())
            .filter(|i| *i == 0 || self.rows.iter().any(|(subject, _)| subject[*i].is_some()))
            .collect();
        let titles = self.titles();
        let mut header: Vec<_> = shown.iter().map(|i| SUBJECT[*i].to_owned()).collect();
        header.extend(table.fields().iter().cloned());
        let first_of_judges = header.len();
        header.extend(titles.iter().flat_map(|(title, _)| three(title)));
        writer.write_record(&header).map_err(failed)?;
        for (subject, cells) in &self.rows {
            let mut row: Vec<_> = shown.iter().map(|i| cell(subject[*i].as_deref())).collect();
            let texts = table.texts(subject[0].as_deref()).map_err(ConvertError::Read)?;
            row.extend(texts.iter().map(|text| cell(text.as_deref())));
            for (_, judge) in &titles {
                match cells.iter().find(|cell| cell.judge == *judge) {
                    None => row.extend([const { String::new() }; 3]),
                    Some(found) => {
                        let feedback = lines.record(found.offset).map_err(ConvertError::Read)?;
                        row.push(cell(feedback.value.as_ref().map(value_text).as_deref()));
                        row.push(cell(feedback.error.as_ref().map(|error| error.error_code.as_str())));
                        row.push(cell(feedback.rationale.as_deref()));
                    }
                }
            }
            let replaced: Vec<_> = row.iter_mut().map(replace_controls).collect();
            let judges = replaced.get(first_of_judges..).unwrap_or_default().chunks(3);
            judges.filter(|cells| cells.contains(&true)).for_each(|_| lost.count(CONTROLS));
            writer.write_record(&row).map_err(failed)?;
        }
        writer.flush().map_err(ConvertError::Write)?;
        Ok(self.rows.len() as u64)
    }

    /// The first title of each judge's columns, all different, in the order of names and sources. It depends only on name and source, so that
    /// no name changes when another model appears; only if two are the same in snake case does the later one get a number.
    fn titles(&self) -> Vec<(String, u32)> {
        let mut taken = HashSet::new();
        let mut titles = Vec::new();
        for ((name, source_id, source_type), judge) in &self.judges {
            let title = title_of(name, source_type, source_id.as_deref());
            let numbered = (2..).map(|n| format!("{title}_{n}"));
            let mut candidates = std::iter::once(title.clone()).chain(numbered);
            let free = candidates.find(|title| taken.insert(title.clone()));
            titles.push((free.unwrap_or_default(), *judge));
        }
        titles
    }
}

/// `safety__openai_gpt_4_1_mini` of a model, `safety__human_kim` of a person.
fn title_of(name: &str, source_type: &str, source_id: Option<&str>) -> String {
    let is_plain = [SourceType::LlmJudge, SourceType::Unspecified].iter().any(|plain| plain.as_str() == source_type);
    let source = match source_id {
        Some(id) if is_plain => snake(id),
        Some(id) => snake(&format!("{source_type} {id}")),
        None if source_type == SourceType::Unspecified.as_str() => return snake(name),
        None => snake(source_type),
    };
    format!("{}{JOINT}{source}", snake(name))
}

/// In snake case: letters and digits, with one `_` for everything else between them.
fn snake(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let snake = words.map(str::to_lowercase).collect::<Vec<_>>().join("_");
    if snake.is_empty() { "x".to_owned() } else { snake }
}

/// The titles of a judge's columns.
fn three(title: &str) -> [String; 3] {
    [title.to_owned(), format!("{title}{JOINT}{ERROR_CODE}"), format!("{title}{JOINT}{RATIONALE}")]
}

/// Where the columns are, in any order.
pub(super) struct Columns {
    subject: [Option<usize>; 4],
    judges: Vec<JudgeColumns>,
    width: usize,
}

struct JudgeColumns {
    name: String,
    source: Source,
    value: usize,
    error_code: Option<usize>,
    rationale: Option<usize>,
}

impl Columns {
    /// # Errors
    /// When there is no `trace_id`, or a column twice.
    pub(super) fn of(header: &StringRecord) -> Result<Self, String> {
        let mut places = HashMap::new();
        for (i, title) in header.iter().enumerate() {
            if places.insert(text(title).unwrap_or_default(), i).is_some() {
                return Err(format!("two columns `{title}`"));
            }
        }
        let subject = SUBJECT.map(|title| places.remove(title));
        if subject[0].is_none() {
            return Err("no column `name` or `trace_id`".to_owned());
        }
        let is_of_another = |title: &str| match title.rsplit_once(JOINT) {
            Some((judge, ERROR_CODE | RATIONALE)) => places.contains_key(judge),
            _ => INCLUDED.contains(&title),
        };
        let mut judges: Vec<_> = places
            .iter()
            .filter(|(title, _)| !is_of_another(title))
            .map(|(title, value)| {
                let [_, error_code, rationale] = three(title).map(|title| places.get(title.as_str()).copied());
                let (name, source) = of_title(title);
                JudgeColumns { name, source, value: *value, error_code, rationale }
            })
            .collect();
        judges.sort_unstable_by_key(|judge| judge.value);
        Ok(Self { subject, judges, width: header.len() })
    }

    /// What no record has, or not all have.
    pub(super) fn lacking(&self) -> Vec<&'static str> {
        let has_sources = self.judges.iter().all(|judge| judge.source.source_type != SourceType::Unspecified);
        ["ids", "times"].into_iter().chain((!has_sources).then_some("sources")).collect()
    }

    /// The records of a row: one for each judge with a cell in it.
    pub(super) fn feedbacks(&self, row: &StringRecord) -> Result<Vec<Feedback>, String> {
        check_width(row, self.width)?;
        let of = |place: Option<usize>| text(row.get(place?)?);
        let [trace_id, span_id, document, session_id] = self.subject.map(|place| of(place).map(ToOwned::to_owned));
        if trace_id.is_none() {
            return Err("no trace_id".to_owned());
        }
        let feedbacks = self.judges.iter().filter_map(|judge| {
            let (said, code, rationale) = (of(Some(judge.value)), of(judge.error_code), of(judge.rationale));
            let error =
                code.map(|code| FeedbackError { error_code: code.into(), error_message: None, stack_trace: None });
            let is_there = said.or(code).or(rationale).is_some();
            is_there.then(|| Feedback {
                name: judge.name.clone(),
                value: said.map(value),
                error,
                rationale: rationale.map(ToOwned::to_owned),
                source: judge.source.clone(),
                metadata: [(SESSION_METADATA, &session_id), (DOCUMENT_METADATA, &document)]
                    .into_iter()
                    .filter_map(|(key, text)| Some((key.to_owned(), text.clone()?)))
                    .collect(),
                trace_id: trace_id.clone(),
                span_id: span_id.clone(),
                ..Feedback::default()
            })
        });
        Ok(feedbacks.collect())
    }
}

/// Name and source from a title, as far as it shows them.
fn of_title(title: &str) -> (String, Source) {
    let (name, source) = title.rsplit_once(JOINT).map_or((title, None), |(name, source)| (name, Some(source)));
    (name.to_owned(), Source { source_id: source.map(ToOwned::to_owned), ..Source::default() })
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;

    use super::*;
    use crate::feedback::forms::{Form, Include, Input, convert};

    /// The table of these records, and what is not in it.
    fn table(records: &[serde_json::Value]) -> (Vec<Vec<String>>, Vec<(u64, &'static str)>) {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        let input = Input::of_reader(Box::new(io::Cursor::new(lines)), None).unwrap();
        let mut out = Vec::new();
        let converted =
            convert(input, Form::CsvWide, false, &mut TableOptions::default(), &mut out, &mut |_, reason| {
                panic!("{reason}")
            })
            .unwrap();
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_slice());
        let rows = reader.records().map(|row| row.unwrap().iter().map(ToOwned::to_owned).collect()).collect();
        (rows, converted.lost.into_iter().map(|lost| (lost.records, lost.what)).collect())
    }

    fn record(name: &str, source: &str, trace: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
        let source = json!({"source_type": "LLM_JUDGE", "source_id": source});
        json!({"name": name, "source": source, "trace_id": trace, "value": value.into(), "create_time_ms": 1})
    }

    fn titles(records: &[serde_json::Value]) -> Vec<String> {
        let (all, is_other) = (table(records).0, |t: &str| t.ends_with(ERROR_CODE) || t.ends_with(RATIONALE));
        all[0].iter().filter(|title| !is_other(title)).cloned().collect()
    }

    #[test]
    fn a_row_has_all_judges_of_a_trace_whatever_their_order_in_the_log() {
        let mut error = record("b", "m", "t2", 0);
        error["error"] = json!({"error_code": "TIMEOUT", "error_message": "late"});
        error["value"] = json!(null);
        let mut why = record("a", "m", "t2", "true");
        why["rationale"] = json!("=so,\nit is");
        let (rows, lost) = table(&[record("b", "m", "t1", -0.5), error, why, record("a", "m", "t1", true)]);
        let expected = [
            ["trace_id", "a__m", "a__m__error_code", "a__m__rationale", "b__m", "b__m__error_code", "b__m__rationale"],
            ["t1", "true", "", "", "-0.5", "", ""],
            ["t2", "\"true\"", "", "'=so,\nit is", "", "TIMEOUT", ""],
        ];
        assert_eq!(rows, expected);
        assert_eq!(lost, [(4, NOT_SHOWN), (1, "error message and stack trace")]);
    }

    #[test]
    fn a_column_keeps_its_name_whoever_else_judges() {
        let mini = record("safety", "openai:/gpt-4.1-mini", "t", 1);
        assert_eq!(titles(std::slice::from_ref(&mini)), ["trace_id", "safety__openai_gpt_4_1_mini"]);
        let human = json!({"name": "safety", "source": {"source_type": "HUMAN", "source_id": "Kim"}, "trace_id": "t", "value": 1});
        let code = json!({"name": "Exact Match!", "source": {"source_type": "CODE"}, "trace_id": "t", "value": 1});
        let nobody = json!({"name": "safety", "trace_id": "t", "value": 1});
        let several = [human, code, record("safety", "a:/m", "t", 1), mini, nobody];
        let expected = [
            "trace_id",
            "exact_match__code",
            "safety",
            "safety__a_m",
            "safety__human_kim",
            "safety__openai_gpt_4_1_mini",
        ];
        let mut all = titles(&several);
        all[1..].sort();
        assert_eq!(all, expected);
    }

    #[test]
    fn no_two_columns_have_one_title_and_none_is_a_formula() {
        let hostile = [
            record("a", "x/y", "t", 1),
            record("a", "x-y", "t", 1),
            record("a x", "y", "t", 1),
            record("a__x", "y", "t", 1),
            record("name", "x", "t", 1),
            record("=1+1", "=x", "t", 1),
            record("=", "=", "t", 1),
        ];
        let all = table(&hostile).0[0].clone();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:?}");
        for title in ["a__x_y", "a__x_y_2", "a_x__y", "a_x__y_2", "name__x", "1_1__x", "x__x"] {
            assert!(all.iter().any(|other| other == title), "{title}: {all:?}");
        }
    }

    #[test]
    fn spans_and_sessions_have_rows_of_their_own() {
        let mut span = record("a", "m", "t", 2);
        span["span_id"] = json!("s");
        let mut session = record("a", "m", "t", 3);
        session["metadata"] = json!({SESSION_METADATA: "chat-1"});
        let (rows, lost) = table(&[record("a", "m", "t", 1), span, session]);
        assert_eq!(rows[0][..4], ["trace_id", "span_id", "session_id", "a__m"]);
        let cells: Vec<_> = rows[1..].iter().map(|row| row[1..4].join("|")).collect();
        assert_eq!(cells, ["||1", "s||2", "|chat-1|3"]);
        assert_eq!(lost, [(3, NOT_SHOWN)], "the session is not lost metadata");
    }

    #[test]
    fn a_cell_has_the_latest_record_and_what_has_no_cell_is_reported() {
        let mut error = record("a", "m", "t", 0);
        error["error"] = json!({"error_code": "TIMEOUT"});
        error["value"] = json!(null);
        let mut overridden = record("a", "m", "t", 3);
        overridden["valid"] = json!(false);
        let mut homeless = record("a", "m", "t", 4);
        homeless["trace_id"] = json!(null);
        let (rows, lost) = table(&[record("a", "m", "t", 1), record("a", "m", "t", 2), overridden, homeless, error]);
        assert_eq!((rows.len(), rows[1][1].as_str(), rows[1][2].as_str()), (2, "", "TIMEOUT"));
        let lost_by_reason = [(1, NOT_SHOWN), (2, NO_CELL), (1, NOT_VALID), (1, NO_TRACE)];
        assert_eq!(lost, lost_by_reason);
    }

    #[test]
    fn a_wide_table_is_read_as_far_as_it_tells() {
        let rows = "\u{feff}safety__rationale,trace_id,inputs,safety__x_m,'=j,safety,safety__error_code\n\
                    why,t,asked,\"\"\"true\"\"\",1,,TIMEOUT\n";
        let input = Input::of_reader(Box::new(io::Cursor::new(rows)), None).unwrap();
        let mut out = Vec::new();
        let table = &mut TableOptions::default();
        convert(input, Form::Jsonl, false, table, &mut out, &mut |_, reason| panic!("{reason}")).unwrap();
        let read: Vec<Feedback> =
            String::from_utf8(out).unwrap().lines().map(|line| Feedback::from_json(line).unwrap()).collect();
        let source = Source { source_type: SourceType::Unspecified, source_id: Some("x_m".into()) };
        assert_eq!((&read[0].name, &read[0].source, &read[0].value), (&"safety".into(), &source, &Some("true".into())));
        assert_eq!((read[1].name.as_str(), &read[1].value), ("=j", &Some(1.into())));
        assert_eq!((read[2].rationale.as_deref(), read[2].is_error(), read.len()), (Some("why"), true, 3));
    }

    #[test]
    fn the_fields_of_a_trace_stand_before_the_judges() {
        let lines: String = [record("a", "m", "t1", 1), record("a", "m", "t2", 2)].map(|r| format!("{r}\n")).concat();
        let texts = |id: &str| Ok(vec![(id == "t1").then(|| "=asked".to_owned()), Some(id.to_owned())]);
        let include = Include { fields: vec!["inputs".into(), "outputs".into()], texts: Box::new(texts) };
        let mut options = TableOptions { bom: true, include: Some(include) };
        for (form, expected) in [
            (
                Form::CsvWide,
                "\u{feff}trace_id,inputs,outputs,a__m,a__m__error_code,a__m__rationale\nt1,'=asked,t1,1,,\nt2,,t2,2,,\n",
            ),
            (Form::Jsonl, lines.as_str()),
        ] {
            let input = Input::of_reader(Box::new(io::Cursor::new(lines.clone())), None).unwrap();
            let mut out = Vec::new();
            convert(input, form, false, &mut options, &mut out, &mut |_, reason| panic!("{reason}")).unwrap();
            let text = String::from_utf8(out).unwrap();
            match form {
                Form::Jsonl => assert_eq!(text.lines().count(), 2),
                _ => assert_eq!(text, expected),
            }
        }
    }
}
