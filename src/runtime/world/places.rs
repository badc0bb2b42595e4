//! Which places a topic has.

use std::collections::BTreeSet;

use crate::app::job::Failure;
use crate::app::lang::{Speaks, say};
use crate::app::place::Place;
use crate::broker::topics::Watermarks;
use crate::demo::text::Language;
use crate::ui::format::offset as number;

/// Refuses a place that is nowhere, and says what there is: other records in its stead would be taken for those asked for.
pub(super) fn exists(
    place: Place,
    marks: &[Watermarks],
    shown: Option<&BTreeSet<i32>>,
    language: Language,
) -> Result<(), Failure> {
    let is_shown = |m: &&Watermarks| shown.is_none_or(|all| all.contains(&m.partition));
    let (wanted, offset): (Vec<_>, i64) = match place {
        Place::Offset(offset) => (marks.iter().filter(is_shown).collect(), offset),
        Place::At(partition, offset) => (marks.iter().filter(|m| m.partition == partition).collect(), offset),
        Place::Begin | Place::End | Place::Back(_) | Place::Time(_) => return Ok(()),
    };
    if wanted.is_empty() {
        let last = marks.iter().map(|m| m.partition).max().unwrap_or(0);
        return Err(Failure::new(say!(
            language,
            "there is no such partition: the topic has 0 to {last}",
            last
        )));
    }
    if !wanted.iter().any(is_shown) {
        return Err(Failure::new(
            language.tr("this partition is not shown: p with nothing typed shows all"),
        ));
    }
    if wanted.iter().any(|m| (m.low..m.high).contains(&offset)) {
        return Ok(());
    }
    let held = |m: &&Watermarks| (m.low < m.high).then(|| (m.low, m.high - 1));
    let range = |(low, last): (i64, i64)| say!(language, "{from} to {to}", from = number(low), to = number(last));
    let all = wanted
        .iter()
        .filter_map(held)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (offset, has) = (number(offset), all.map_or(language.tr("none").into(), range));
    let mut text = match wanted.as_slice() {
        [one] => say!(
            language,
            "no offset {offset}: partition {number} has {has}",
            offset,
            number = one.partition,
            has
        ),
        _ => say!(language, "no offset {offset}: the partitions have {has}", offset, has),
    };
    if wanted.len() > 1 {
        for m in &wanted {
            let has = held(m).map_or(language.tr("no records").into(), range);
            let line = say!(language, "partition {number}: {has}", number = m.partition, has);
            text.push_str(&format!("\n  {line}"));
        }
    }
    Err(Failure::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_refused_only_where_no_record_can_be() {
        let mark = |partition, low, high| Watermarks { partition, low, high };
        let marks = [mark(0, 0, 10), mark(1, 5, 30), mark(2, 4, 4)];
        let refused = |place, shown| exists(place, &marks, shown, Language::English).err().map(|f| f.summary);
        assert_eq!(refused(Place::Offset(29), None), None);
        assert_eq!(refused(Place::Offset(0), None), None);
        assert_eq!(
            refused(Place::Offset(30), None).unwrap(),
            "no offset 30: the partitions have 0 to 29"
        );
        let first = BTreeSet::from([0]);
        assert_eq!(
            refused(Place::Offset(29), Some(&first)).unwrap(),
            "no offset 29: partition 0 has 0 to 9"
        );
        assert!(refused(Place::At(1, 5), Some(&first)).unwrap().contains("not shown"));
        assert!(refused(Place::At(3, 5), None).unwrap().contains("0 to 2"));
        assert_eq!(
            refused(Place::At(1, 4), None).unwrap(),
            "no offset 4: partition 1 has 5 to 29"
        );
        assert!(
            refused(Place::At(2, 4), None)
                .unwrap()
                .ends_with("partition 2 has none")
        );
        assert_eq!(refused(Place::At(0, 9), Some(&first)), None);
    }
}
