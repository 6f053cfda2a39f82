//! What is asked: judge files, prompts, the form of the verdict.

pub mod verdict;
