//! The merge of several sources by the key of their first element: the rule by which a replay across partitions is the same
//! every time, whatever arrives first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The first element of this source is next; afterwards tell what follows it with [`Merge::head`] or [`Merge::missing`],
    /// or that nothing does.
    Take(usize),
    /// The first element of this source must be known before anything is next.
    Need(usize),
    /// Every source is at its end.
    Done,
}

/// Which of the sources is next: the one with the smallest key, and of those with the same the one with the smallest number.
///
/// Holds one key for each source and nothing else; a source that it needs and does not get stops it, never another one's
/// arrival.
#[derive(Debug)]
pub(super) struct Merge<K> {
    heads: BinaryHeap<Reverse<(K, usize)>>,
    missing: Vec<usize>,
}

impl<K: Ord> Merge<K> {
    /// A merge of sources `0..sources`, of which no head is known yet.
    pub(super) fn new(sources: usize) -> Self {
        Self {
            heads: BinaryHeap::with_capacity(sources),
            missing: (0..sources).rev().collect(),
        }
    }

    /// What is next.
    pub(super) fn step(&mut self) -> Step {
        if let Some(source) = self.missing.pop() {
            return Step::Need(source);
        }
        match self.heads.pop() {
            Some(Reverse((_, source))) => Step::Take(source),
            None => Step::Done,
        }
    }

    /// The source's first element has this key.
    pub(super) fn head(&mut self, source: usize, key: K) {
        self.heads.push(Reverse((key, source)));
    }

    /// The source's first element is not known yet.
    pub(super) fn missing(&mut self, source: usize) {
        self.missing.push(source);
    }

    /// Whether an element of the source that was just taken from would be next again; then it may be taken at once.
    pub(super) fn is_next(&self, source: usize, key: &K) -> bool {
        self.missing.is_empty()
            && match self.heads.peek() {
                Some(Reverse((other, at))) => (key, source) < (other, *at),
                None => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Merges sources whose elements arrive in portions, as `arrivals` says: (source, how many).
    fn merge(sources: &[Vec<i64>], arrivals: &[(usize, usize)], runs: bool) -> Vec<(i64, usize)> {
        let mut left: Vec<VecDeque<i64>> = sources.iter().map(|s| s.iter().copied().collect()).collect();
        let mut here: Vec<VecDeque<i64>> = vec![VecDeque::new(); sources.len()];
        let mut arrivals = arrivals.iter().copied();
        let mut merge = Merge::new(sources.len());
        let mut out = Vec::new();
        loop {
            match merge.step() {
                Step::Done => return out,
                Step::Need(source) => {
                    while here[source].is_empty() && !left[source].is_empty() {
                        // When the script is over, what is needed arrives.
                        let (from, count) = arrivals.next().unwrap_or((source, 1));
                        let from = from % sources.len();
                        let count = count.min(left[from].len());
                        here[from].extend(left[from].drain(..count));
                    }
                    if let Some(key) = here[source].front() {
                        merge.head(source, *key);
                    }
                }
                Step::Take(source) => {
                    out.push((here[source].pop_front().unwrap(), source));
                    while runs && here[source].front().is_some_and(|key| merge.is_next(source, key)) {
                        out.push((here[source].pop_front().unwrap(), source));
                    }
                    match here[source].front() {
                        Some(key) => merge.head(source, *key),
                        None => merge.missing(source),
                    }
                }
            }
        }
    }

    /// The rule, written down as simply as it can be: of the heads take the smallest, ties to the first source.
    fn rule(sources: &[Vec<i64>]) -> Vec<(i64, usize)> {
        let mut left: Vec<VecDeque<i64>> = sources.iter().map(|s| s.iter().copied().collect()).collect();
        let mut out = Vec::new();
        while let Some((key, source)) = left
            .iter()
            .enumerate()
            .filter_map(|(i, s)| Some((*s.front()?, i)))
            .min()
        {
            left[source].pop_front();
            out.push((key, source));
        }
        out
    }

    proptest! {
        #[test]
        fn the_order_depends_on_the_sources_alone(
            sources in prop::collection::vec(prop::collection::vec(-3_i64..20, 0..30), 1..6),
            arrivals in prop::collection::vec((0_usize..6, 1_usize..9), 0..40),
            runs: bool,
        ) {
            prop_assert_eq!(merge(&sources, &arrivals, runs), rule(&sources));
        }
    }

    #[test]
    fn no_source_is_done_at_once() {
        assert_eq!(Merge::<i64>::new(0).step(), Step::Done);
    }
}
