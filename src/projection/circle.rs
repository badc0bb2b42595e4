//! Projections that feed each other: what one emits another folds, and so back to the first.

use super::Projection;

/// The first circle among projections that are followed together: each with the topic that it emits to and the next one folds.
/// Empty where records come to an end.
///
/// It is no error: a clause that stops emitting ends it, as a retry that is counted does. Without one, records go round for ever.
pub fn circle(projections: &[Projection]) -> Vec<(&Projection, &str)> {
    let mut path = Vec::new();
    let mut done = vec![false; projections.len()];
    for start in 0..projections.len() {
        if let Some(from) = walk(projections, start, &mut path, &mut done) {
            return path
                .drain(from..)
                .map(|(at, topic): (usize, &str)| (&projections[at], topic))
                .collect();
        }
    }
    Vec::new()
}

/// Goes on from a projection along what it emits; where the path meets itself, from which of its steps on it is a circle.
fn walk<'p>(
    projections: &'p [Projection],
    at: usize,
    path: &mut Vec<(usize, &'p str)>,
    done: &mut [bool],
) -> Option<usize> {
    if let Some(from) = path.iter().position(|(known, _)| *known == at) {
        return Some(from);
    }
    if std::mem::replace(&mut done[at], true) {
        return None;
    }
    for emit in &projections[at].emits {
        let folds = |projection: &Projection| projection.topics.contains(&emit.topic);
        for next in (0..projections.len()).filter(|next| folds(&projections[*next])) {
            path.push((at, &emit.topic));
            if let Some(from) = walk(projections, next, path, done) {
                return Some(from);
            }
            path.pop();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn projection(name: &str, topic: &str, emits: &[&str]) -> Projection {
        let emits = emits
            .iter()
            .map(|emit| format!("-- emit: {emit}\nSELECT :id AS key, :n AS value;\n"));
        let text = format!(
            "-- projection: {name}\n-- topic: {topic}\nCREATE TABLE t (id TEXT PRIMARY KEY) STRICT;\n\
             -- on: *\nINSERT OR IGNORE INTO t VALUES (:id);\n{}",
            emits.collect::<String>()
        );
        parse(&text, name).unwrap()
    }

    fn seen(projections: &[Projection]) -> Vec<(&str, &str)> {
        let circle = circle(projections).into_iter();
        circle
            .map(|(projection, topic)| (projection.name.as_str(), topic))
            .collect()
    }

    #[test]
    fn a_circle_is_found_wherever_it_begins_and_without_what_leads_to_it() {
        let chain = [
            projection("first", "a", &["b"]),
            projection("second", "b", &["x", "c"]),
            projection("third", "c", &["d"]),
        ];
        assert_eq!(seen(&chain), []);
        let mut ring = chain.to_vec();
        ring.push(projection("fourth", "d", &["b"]));
        assert_eq!(seen(&ring), [("second", "c"), ("third", "d"), ("fourth", "b")]);
        ring.rotate_left(2);
        assert_eq!(seen(&ring).len(), 3);
        // Two ways to the same place are no circle.
        let fork = [
            projection("forks", "a", &["b", "c"]),
            projection("one_way", "b", &["d"]),
            projection("other_way", "c", &["d"]),
            projection("both", "d", &[]),
        ];
        assert_eq!(seen(&fork), []);
    }
}
