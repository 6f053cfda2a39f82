//! What is reviewed, and in which order. It is made once, so that positions in it stay the same.

use std::collections::HashMap;

use super::plan::{LabelPlan, PlanRow};
use super::survey::Survey;

/// Which traces, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// All, as they come in the dataset.
    All,
    /// Those with a verdict that is not good, then those with a failure.
    Failures,
    /// Those about which verdicts on the same question differ.
    Disagreement,
    /// Those with a number, the nearest to its threshold first.
    Threshold,
}

/// The traces to review, one after another.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    items: Vec<Item>,
    positions: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub trace_id: String,
    /// The labels that a plan asks for; all of them without a plan.
    pub rows: Vec<PlanRow>,
}

impl Queue {
    /// Makes the queue. `dataset` are the traces of the dataset; without one, they are those of the log.
    pub fn of(order: Order, survey: &Survey, dataset: Option<Vec<String>>) -> Self {
        let mut traces = dataset.unwrap_or_else(|| survey.traces.clone());
        let findings = |trace: &String| survey.findings(trace);
        match order {
            Order::All => {}
            Order::Failures => {
                let rank = |trace: &String| match findings(trace) {
                    Some(findings) if findings.is_bad => 0,
                    Some(findings) if findings.is_failed => 1,
                    _ => 2,
                };
                traces.retain(|trace| rank(trace) < 2);
                traces.sort_by_key(rank);
            }
            Order::Disagreement => {
                traces.retain(|trace| findings(trace).is_some_and(super::survey::Findings::disagrees))
            }
            Order::Threshold => {
                let distance = |trace: &String| findings(trace).and_then(|findings| findings.distance);
                traces.retain(|trace| distance(trace).is_some());
                traces.sort_by(|a, b| distance(a).partial_cmp(&distance(b)).unwrap_or(std::cmp::Ordering::Equal));
            }
        }
        Self::of_items(traces.into_iter().map(|trace_id| Item { trace_id, rows: Vec::new() }))
    }

    /// What a plan names, in its order.
    pub fn of_plan(plan: LabelPlan) -> Self {
        let mut items: Vec<Item> = Vec::new();
        let mut at: HashMap<String, usize> = HashMap::new();
        for row in plan.rows {
            let place = *at.entry(row.trace_id.clone()).or_insert(items.len());
            if place == items.len() {
                items.push(Item { trace_id: row.trace_id.clone(), rows: Vec::new() });
            }
            items[place].rows.push(row);
        }
        Self::of_items(items)
    }

    fn of_items(items: impl IntoIterator<Item = Item>) -> Self {
        let items: Vec<_> = items.into_iter().collect();
        let positions = items.iter().enumerate().map(|(at, item)| (item.trace_id.clone(), at)).collect();
        Self { items, positions }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Item> {
        self.items.get(at)
    }

    pub(super) fn position(&self, trace_id: &str) -> Option<usize> {
        self.positions.get(trace_id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(lines: &[(&str, &str, &str)]) -> Survey {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("f.jsonl");
        let line = |(i, (trace, source, verdict)): (usize, &(&str, &str, &str))| {
            format!(
                r#"{{"assessment_id":"a-{i:032x}","name":"tone","trace_id":"{trace}","source":{{"source_type":"LLM_JUDGE","source_id":"{source}"}},"metadata":{{"run_id":"r","judge_prompt":"p","good":">= 4","scale":"1..5"}},{verdict}}}"#
            ) + "\n"
        };
        std::fs::write(&log, lines.iter().enumerate().map(line).collect::<String>()).unwrap();
        Survey::of(&log).unwrap()
    }

    fn ids(queue: &Queue) -> Vec<&str> {
        (0..queue.len()).map(|at| queue.get(at).unwrap().trace_id.as_str()).collect()
    }

    #[test]
    fn what_needs_attention_comes_first() {
        let failed = r#""error":{"error_code":"TIMEOUT"}"#;
        let survey = survey(&[
            ("good", "m", r#""value":5"#),
            ("failed", "m", failed),
            ("bad", "m", r#""value":1"#),
            ("near", "m", r#""value":4"#),
            ("near", "n", r#""value":3"#),
            ("same", "m", r#""value":5"#),
            ("same", "n", r#""value":5.0"#),
        ]);
        let of = |order| Queue::of(order, &survey, None);
        assert_eq!(ids(&of(Order::All)), ["good", "failed", "bad", "near", "same"]);
        assert_eq!(ids(&of(Order::Failures)), ["bad", "near", "failed"]);
        assert_eq!(ids(&of(Order::Disagreement)), ["near"]);
        assert_eq!(ids(&of(Order::Threshold)), ["near", "good", "same", "bad"]);
        let dataset = vec!["unjudged".to_owned(), "bad".to_owned()];
        assert_eq!(ids(&Queue::of(Order::All, &survey, Some(dataset))), ["unjudged", "bad"]);
    }

    #[test]
    fn a_plan_says_what_of_each_trace() {
        let plan = LabelPlan::read("trace_id,name\nb,tone\na,tone\nb,safety\n").unwrap();
        let queue = Queue::of_plan(plan);
        assert_eq!((ids(&queue), queue.get(0).unwrap().rows.len(), queue.position("a")), (vec!["b", "a"], 2, Some(1)));
    }
}
