//! `--shard`: a named part, or the one that a scheduler assigned to this process.

use std::num::NonZeroU32;
use std::str::FromStr;

use judge_run::run::{InvalidShard, Shard};

use super::environment::Env;
use super::error::CliError;
use super::print::one_line;

/// For everything that can set variables, such as a matrix: the index, from 0, and the count.
pub(crate) const VARIABLES: [&str; 2] = ["JUDGE_RUN_SHARD_INDEX", "JUDGE_RUN_SHARD_COUNT"];

/// What `--shard` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardArg {
    Named(Shard),
    /// From the environment, which must agree with the number of parts given here.
    Auto {
        of: Option<NonZeroU32>,
    },
}

impl FromStr for ShardArg {
    type Err = InvalidShardArg;

    fn from_str(text: &str) -> Result<Self, InvalidShardArg> {
        match text.trim().strip_prefix("auto") {
            Some("") => Ok(Self::Auto { of: None }),
            Some(of) => {
                let of = of.strip_prefix('/').and_then(|of| of.parse().ok());
                of.map(|of| Self::Auto { of: Some(of) }).ok_or(InvalidShardArg(InvalidShard))
            }
            None => text.parse().map(Self::Named).map_err(InvalidShardArg),
        }
    }
}

/// Neither a part nor `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}; or auto or auto/N, where a scheduler sets the part")]
pub(crate) struct InvalidShardArg(InvalidShard);

/// A scheduler that counts the processes of a job, and tells each its index.
struct Scheduler {
    name: &'static str,
    index: &'static str,
    count: Option<&'static str>,
    /// The index variable: a number, or where to find it.
    first: First,
}

enum First {
    Is(u32),
    /// SLURM's arrays have any first index and step.
    OfArray,
}

const fn counted(name: &'static str, index: &'static str, count: &'static str, first: u32) -> Scheduler {
    Scheduler { name, index, count: Some(count), first: First::Is(first) }
}

const SCHEDULERS: [Scheduler; 9] = [
    counted("JUDGE_RUN_SHARD_INDEX", VARIABLES[0], VARIABLES[1], 0),
    // An indexed job does not tell its pods the count.
    Scheduler { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", count: None, first: First::Is(0) },
    Scheduler {
        name: "SLURM",
        index: "SLURM_ARRAY_TASK_ID",
        count: Some("SLURM_ARRAY_TASK_COUNT"),
        first: First::OfArray,
    },
    counted("GitLab", "CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    counted("Buildkite", "BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
    counted("NeMo Evaluator", "NEL_SHARD_IDX", "NEL_TOTAL_SHARDS", 0),
    counted("CircleCI", "CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    counted("Cloud Run", "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT", 0),
    counted("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", 0),
];

/// What one scheduler says.
struct Said {
    name: &'static str,
    index: &'static str,
    number: u32,
    of: Option<u32>,
}

impl Said {
    fn text(&self) -> String {
        let Self { name, number, of, .. } = self;
        match of {
            Some(of) => format!("{name} says {number}/{of}"),
            None => format!("{name} says part {number}"),
        }
    }
}

impl ShardArg {
    /// The part, and the variable that says so.
    pub(crate) fn resolve(self, env: Env<'_>) -> Result<(Shard, Option<&'static str>), CliError> {
        let of_flag = match self {
            Self::Named(shard) => return Ok((shard, None)),
            Self::Auto { of } => of.map(NonZeroU32::get),
        };
        let said = SCHEDULERS.iter().filter_map(|scheduler| scheduler.says(env).transpose());
        let said = said.collect::<Result<Vec<_>, _>>()?;
        let Some(first) = said.first() else {
            let names: Vec<_> = SCHEDULERS[1..].iter().map(|scheduler| scheduler.name).collect();
            return Err(CliError::usage_with_hint(
                "`--shard auto` found no part in the environment",
                format_args!(
                    "it knows {}; elsewhere set {} (from 0) and {}, or name the part: `--shard 3/16`",
                    names.join(", "),
                    VARIABLES[0],
                    VARIABLES[1]
                ),
            ));
        };
        let of = of_flag.or_else(|| said.iter().find_map(|said| said.of));
        let agrees = |said: &Said| said.number == first.number && said.of.is_none_or(|count| Some(count) == of);
        if !said.iter().all(agrees) {
            let mut texts: Vec<_> = said.iter().map(Said::text).collect();
            texts.extend(of_flag.map(|of| format!("the command says auto/{of}")));
            return Err(CliError::usage_with_hint(
                format_args!("the environment disagrees about the part: {}", texts.join(", ")),
                "name it: `--shard 3/16`",
            ));
        }
        let Some(of) = of else {
            return Err(CliError::usage_with_hint(
                format_args!("{} sets the part, but not the number of parts", first.name),
                "give the number of parts, which is the job's completions: `--shard auto/16`",
            ));
        };
        let shard = Shard::new(first.number, of).ok_or_else(|| {
            CliError::usage_with_hint(
                format_args!(
                    "{1} names part {0} of {of}, which does not exist ({2})",
                    first.number, first.name, first.index
                ),
                "the number of parts must be that of the job's processes",
            )
        })?;
        Ok((shard, Some(first.index)))
    }
}

impl Scheduler {
    /// `None` where it did not start this process.
    fn says(&self, env: Env<'_>) -> Result<Option<Said>, CliError> {
        let Self { name, index: index_name, .. } = *self;
        let Some(index) = number(index_name, env)? else { return Ok(None) };
        let of = self.count.map_or(Ok(None), |count| number(count, env))?;
        if let Some(count) = self.count.filter(|_| of.is_none()) {
            return Err(CliError::usage_with_hint(
                format_args!("{index_name} is set, but {count} is not"),
                format_args!("set {count} to the number of parts, or name the part: `--shard 3/16`"),
            ));
        }
        let place = match self.first {
            First::Is(first) => index.checked_sub(first),
            First::OfArray => place_in_array(index, of, env)?,
        };
        let number = place.and_then(|place| place.checked_add(1)).ok_or_else(|| {
            CliError::usage_with_hint(
                format_args!("{index_name} is {index}, which is outside the job's range"),
                "name the part: `--shard 3/16`",
            )
        })?;
        Ok(Some(Said { name, index: index_name, number, of }))
    }
}

/// The place, from 0, of a task in SLURM's array; `None` where the array is a list of tasks without order.
fn place_in_array(id: u32, count: Option<u32>, env: Env<'_>) -> Result<Option<u32>, CliError> {
    let min = number("SLURM_ARRAY_TASK_MIN", env)?.unwrap_or(0);
    let step = number("SLURM_ARRAY_TASK_STEP", env)?.unwrap_or(1).max(1);
    let max = number("SLURM_ARRAY_TASK_MAX", env)?;
    let is_even = max.zip(count).is_none_or(|(max, count)| {
        u64::from(max) == u64::from(min) + u64::from(step) * u64::from(count.saturating_sub(1))
    });
    let offset = id.checked_sub(min).filter(|offset| is_even && offset % step == 0);
    Ok(offset.map(|offset| offset / step))
}

/// The number in a variable; an empty one counts as not set.
fn number(name: &str, env: Env<'_>) -> Result<Option<u32>, CliError> {
    let Some(text) = env(name).filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| {
        CliError::usage_with_hint(
            format_args!("{name} is `{}`, not a whole number", one_line(&text)),
            "name the part: `--shard 3/16`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(of: Option<u32>, variables: &[(&str, &str)]) -> Result<String, String> {
        let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let arg = ShardArg::Auto { of: of.and_then(NonZeroU32::new) };
        arg.resolve(&env).map(|(shard, _)| shard.to_string()).map_err(CliError::into_line)
    }

    fn slurm<'a>(id: &'a str, min: &'a str, max: &'a str, step: &'a str, count: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_STEP", step),
            ("SLURM_ARRAY_TASK_COUNT", count),
        ]
    }

    #[test]
    fn what_is_named_needs_no_environment() {
        let parse = str::parse::<ShardArg>;
        let (shard, origin) = parse("3/16").unwrap().resolve(&|_| Some("7".into())).unwrap();
        assert_eq!((shard.to_string(), origin), ("3/16".to_owned(), None));
        assert_eq!(parse("auto"), Ok(ShardArg::Auto { of: None }));
        assert_eq!(parse(" auto/16 "), Ok(ShardArg::Auto { of: NonZeroU32::new(16) }));
        for text in ["auto/0", "auto/", "auto16", "automatic", "auto/x", "4/3", ""] {
            assert_eq!(parse(text), Err(InvalidShardArg(InvalidShard)), "{text}");
        }
    }

    #[test]
    fn every_scheduler_counts_in_its_own_way() {
        let third = |index: &str, value: &str, count: &str| auto(None, &[(index, value), (count, "16")]);
        for (index, value, count) in [
            ("JUDGE_RUN_SHARD_INDEX", "2", "JUDGE_RUN_SHARD_COUNT"),
            ("CI_NODE_INDEX", "3", "CI_NODE_TOTAL"),
            ("BUILDKITE_PARALLEL_JOB", "2", "BUILDKITE_PARALLEL_JOB_COUNT"),
            ("NEL_SHARD_IDX", "2", "NEL_TOTAL_SHARDS"),
            ("CIRCLE_NODE_INDEX", "2", "CIRCLE_NODE_TOTAL"),
            ("CLOUD_RUN_TASK_INDEX", "2", "CLOUD_RUN_TASK_COUNT"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "2", "AWS_BATCH_JOB_ARRAY_SIZE"),
        ] {
            assert_eq!(third(index, value, count), Ok("3/16".to_owned()), "{index}");
        }
        assert_eq!(auto(Some(16), &[("JOB_COMPLETION_INDEX", "2")]), Ok("3/16".to_owned()));
    }

    #[test]
    fn an_array_of_slurm_may_begin_anywhere() {
        for (id, min, max, step) in [("2", "0", "15", "1"), ("3", "1", "16", "1"), ("25", "5", "155", "10")] {
            assert_eq!(auto(None, &slurm(id, min, max, step, "16")), Ok("3/16".to_owned()), "{id} from {min}");
        }
        let short = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "16")];
        assert_eq!(auto(None, &short), Ok("3/16".to_owned()));
        // `--array=1,3,7` does not say which task is the second. Some of sixteen tasks, rerun, are not the whole array.
        assert!(auto(None, &slurm("3", "1", "7", "1", "3")).is_err());
        assert!(auto(Some(16), &slurm("3", "3", "3", "1", "1")).unwrap_err().contains("auto/16"));
    }

    #[test]
    fn a_part_that_nobody_names_is_an_error_that_says_what_to_set() {
        for (variables, said) in [
            (&[] as &[(&str, &str)], "JUDGE_RUN_SHARD_INDEX"),
            (&[("CI_NODE_TOTAL", "1")], "JUDGE_RUN_SHARD_INDEX"),
            (&[("JOB_COMPLETION_INDEX", "")], "JUDGE_RUN_SHARD_INDEX"),
            (&[("JOB_COMPLETION_INDEX", "2")], "auto/16"),
            (&[("SLURM_ARRAY_TASK_ID", "2")], "SLURM_ARRAY_TASK_COUNT"),
            (&[("JUDGE_RUN_SHARD_INDEX", "2")], "JUDGE_RUN_SHARD_COUNT"),
            (&[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "4")], "CI_NODE_INDEX"),
            (&[("CI_NODE_INDEX", "5"), ("CI_NODE_TOTAL", "4")], "part 5 of 4, which does not exist"),
            (&[("NEL_SHARD_IDX", "0"), ("NEL_TOTAL_SHARDS", "0")], "part 1 of 0, which does not exist"),
            (&[("JOB_COMPLETION_INDEX", "two")], "not a whole number"),
            (&[("JOB_COMPLETION_INDEX", "4294967295")], "JOB_COMPLETION_INDEX"),
        ] {
            let error = auto(None, variables).unwrap_err();
            assert!(error.contains(said), "{variables:?}: {error}");
        }
    }

    #[test]
    fn two_that_agree_are_one_and_two_that_do_not_are_refused() {
        let nel = |index, count| [("NEL_SHARD_IDX", index), ("NEL_TOTAL_SHARDS", count), ("JOB_COMPLETION_INDEX", "2")];
        assert_eq!(auto(None, &nel("2", "16")), Ok("3/16".to_owned()));
        let error = auto(None, &nel("3", "16")).unwrap_err();
        assert!(error.contains("Kubernetes says part 3") && error.contains("NeMo Evaluator says 4/16"), "{error}");
        let two = [("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "4"), ("NEL_SHARD_IDX", "0"), ("NEL_TOTAL_SHARDS", "8")];
        assert!(auto(None, &two).is_err() && auto(Some(4), &two).is_err());
        assert!(auto(Some(4), &two[..2]).is_ok() && auto(Some(8), &two[..2]).is_err());
    }
}
