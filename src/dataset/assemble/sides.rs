//! Traces with outputs for the same inputs, wherever in a dataset they are.

use std::io;

use crate::dataset::assemble::gather::Gather;
use crate::dataset::assemble::sessions::{failed, read, shallow};
use crate::dataset::source::DatasetError;
use crate::trace::Trace;

/// The traces of all sides, in a temporary file; in memory 24 bytes each.
#[derive(Debug)]
pub(crate) struct Sides(Gather);

impl Sides {
    /// None yet.
    ///
    /// # Errors
    /// When a temporary file cannot be made.
    pub(crate) fn new() -> Result<Self, DatasetError> {
        Gather::new().map(Self).map_err(failed)
    }

    /// Adds a trace of a side. Traces with the same key are compared.
    ///
    /// # Errors
    /// When the disk is full.
    pub(crate) fn add(&mut self, key: &str, trace: &Trace) -> Result<(), DatasetError> {
        let side = u32::try_from(trace.side).unwrap_or(u32::MAX);
        let mut bytes = side.to_le_bytes().to_vec();
        serde_json::to_writer(&mut bytes, &*shallow(trace)).map_err(|error| failed(error.into()))?;
        self.0.push(key, side.into(), &bytes).map_err(failed)
    }

    /// The traces of each key, in the order of the sides and within one in that of the dataset; keys come in the order of their first traces.
    ///
    /// # Errors
    /// When the temporary file cannot be written or read.
    pub(crate) fn into_groups(
        self,
    ) -> Result<impl Iterator<Item = Result<Vec<Trace>, DatasetError>> + Send, DatasetError> {
        let trace = |bytes: &Vec<u8>| {
            let (side, bytes) = bytes.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
            Ok(Trace { side: u32::from_le_bytes(*side) as usize, ..read(bytes)? })
        };
        let traces = move |group: io::Result<Vec<Vec<u8>>>| group?.iter().map(trace).collect::<io::Result<_>>();
        let groups = self.0.into_groups().map_err(failed)?;
        Ok(groups.map(move |group| traces(group).map_err(failed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_of_one_key_come_together_by_side() {
        let mut sides = Sides::new().unwrap();
        let outputs = |text: &str| Some(text.into());
        for (key, side, text) in [("q", 1, "q1"), ("r", 0, "r0"), ("q", 0, "q0"), ("q", 0, "again")] {
            let trace = Trace { trace_id: key.into(), side, outputs: outputs(text), ..Trace::default() };
            sides.add(key, &trace).unwrap();
        }
        let groups: Vec<_> = sides.into_groups().unwrap().map(Result::unwrap).collect();
        let found: Vec<Vec<_>> = groups
            .iter()
            .map(|group| group.iter().map(|trace| (trace.side, trace.outputs.clone())).collect())
            .collect();
        let expected = [vec![(0, outputs("q0")), (0, outputs("again")), (1, outputs("q1"))], vec![(0, outputs("r0"))]];
        assert_eq!(found, expected);
    }
}
