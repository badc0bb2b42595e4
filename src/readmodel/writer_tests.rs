use super::*;
use crate::projection::parse::parse;
use crate::readmodel::compile::compile;

/// A projection of which every event can be folded in memory, with one more header.
fn definition(header: &str) -> Definition {
    let text = format!(
        "-- projection: items\n-- topic: t\n-- type: $.type\n{header}
         CREATE TABLE item (id TEXT PRIMARY KEY, n INTEGER) STRICT;
         -- on: A\nINSERT INTO item VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1;"
    );
    compile(&parse(&text, "items.sql").unwrap()).unwrap()
}

fn origin() -> Origin {
    Origin {
        cluster_id: "c".to_owned(),
        topics: vec![("t".to_owned(), None)],
        amendments: Amendments::default(),
    }
}

fn cache(building: &Building) -> i32 {
    let size = |row: &rusqlite::Row<'_>| row.get::<_, i32>(0);
    -building.connection.query_row("PRAGMA cache_size", [], size).unwrap()
}

/// Rows that are not in memory are found in the page cache, or on the disk.
#[test]
fn a_build_whose_events_are_sql_has_the_larger_page_cache() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let folded = definition("");
    assert!(folded.plan().is_whole());
    let building = Building::start(&store, &folded, &origin()).unwrap();
    assert_eq!(cache(&building), FOLDED_CACHE_KIB);
    drop(building);

    let building = Building::start(&store, &definition("-- history: on\n"), &origin()).unwrap();
    assert_eq!(cache(&building), BUILD_CACHE_KIB);
    drop(building);

    let building = Building::preview(&store, &folded, &origin()).unwrap();
    assert_eq!(cache(&building), FOLDED_CACHE_KIB);
    let closed = building.fold(OnPoison::Skip).unwrap().close().unwrap();
    building.finish(&closed, &Position::new()).unwrap();
    let building = Building::from_preview(&store, &folded).unwrap();
    assert_eq!(
        cache(&building),
        BUILD_CACHE_KIB,
        "what the preview wrote is not in memory"
    );
}
