use std::path::Path;

use super::super::catalog::Catalog;
use super::*;

fn built_in() -> (Catalog, Guide) {
    let catalog = Catalog::load(&[]).unwrap();
    let guide = catalog.guide().unwrap().clone();
    (catalog, guide)
}

fn answers(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(question, answer)| (question.to_owned(), answer.to_owned()))
        .collect()
}

/// Reads a guide of this text, and says what is wrong with it.
fn refused(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("guide.toml"),
        format!("title = {{ en = \"x\" }}\n{text}"),
    )
    .unwrap();
    load(Folder::Disk(dir.path().to_owned())).unwrap_err().to_string()
}

#[test]
fn every_way_ends_in_a_demo_and_every_example_holds() {
    let (catalog, guide) = built_in();
    let checked = guide.check(&catalog, Language::English).unwrap();
    for step in &checked.steps {
        // Which demos there are is not the guide's doing: it only has to say what is missing.
        let passed = step.state == super::super::run::StepState::Passed;
        assert!(
            passed || step.title.contains("is there"),
            "{}: {}",
            step.title,
            step.note
        );
    }
    for id in &checked.missing {
        assert!(catalog.get(id).is_err());
        assert!(checked.steps.iter().any(|step| step.note.contains(id.as_str())));
    }
    // 2 branches of throughput, 2 of volume and time each, their own answers, and the 16 of the last question in each of the four.
    assert_eq!(guide.ways().len(), (5 + 3 + 5 + 4) + 4 * 16);
    assert_eq!(guide.table.len(), 16);
}

#[test]
fn answers_lead_on_as_far_as_they_go_and_what_was_not_asked_is_told() {
    let (_, guide) = built_in();
    let nothing = BTreeMap::new();
    assert_eq!(guide.way(&nothing).unwrap().next.unwrap().id, "throughput");
    let some = answers("throughput=high");
    let way = guide.way(&some).unwrap();
    assert_eq!((way.next.unwrap().id.as_str(), way.demo()), ("volume", None));
    let all = answers("throughput=high volume=large bulk=logs real-time=yes");
    let way = guide.way(&all).unwrap();
    assert_eq!((way.demo(), way.next.is_none()), (Some("log-analytics"), true));
    assert_eq!(
        way.beside
            .iter()
            .map(|(question, _)| question.id.as_str())
            .collect::<Vec<_>>(),
        ["real-time"]
    );
    assert!(way.contradictions.is_empty());
}

#[test]
fn contradictions_are_noticed_between_answers_and_with_where_they_lead() {
    let (_, guide) = built_in();
    let between = answers("throughput=low volume=large");
    assert_eq!(
        guide.way(&between).unwrap().contradictions.len(),
        1,
        "before the end is reached, too"
    );
    let late = answers("throughput=low real-time=no calm=other need=fraud");
    let way = guide.way(&late).unwrap();
    assert_eq!(way.demo(), Some("fraud"));
    assert!(way.contradictions[0].say.get(Language::English).contains("tonight"));
    let fits = answers("throughput=low real-time=yes live=card");
    assert!(guide.way(&fits).unwrap().contradictions.is_empty());
}

#[test]
fn an_answer_that_nobody_could_give_is_refused_with_those_that_there_are() {
    let (_, guide) = built_in();
    let help = |text: &str| match guide.way(&answers(text)).unwrap_err() {
        DemoError::Answer { reason, help } => format!("{reason}; {help}"),
        other => panic!("{other}"),
    };
    assert!(help("speed=high").contains("`speed`; its questions are throughput, volume"));
    assert!(help("throughput=huge").contains("`huge`") && help("throughput=huge").contains("high, low"));
}

#[test]
fn a_guide_that_leads_nowhere_is_refused() {
    let question = |id: &str, answers: &str| {
        format!("[[questions]]\nid = \"{id}\"\nask = {{ en = \"?\" }}\nanswers = [{answers}]\n")
    };
    let to = |id: &str, next: &str| format!("{{ id = \"{id}\", say = {{ en = \"!\" }}, next = \"{next}\" }}");
    let end = "{ id = \"e\", say = { en = \"!\" }, demo = \"messaging\" }";
    assert!(refused("questions = []").contains("needs a question"));
    assert!(refused(&question("a", &to("x", "b"))).contains("no such question"));
    assert!(refused(&(question("a", &to("x", "b")) + &question("b", &to("y", "a")))).contains("leads back"));
    assert!(refused(&(question("a", end) + &question("b", end))).contains("no answer leads"));
    assert!(refused(&(question("a", end) + &question("a", end))).contains("twice"));
    assert!(refused(&question("a", "{ id = \"e\", say = { en = \"!\" } }")).contains("either"));
    assert!(refused(&question("a", "")).contains("no answers"));
    let example = question("a", end) + "[[examples]]\nanswers = { a = \"z\" }\ndemo = \"messaging\"";
    assert!(refused(&example).contains("`z` is no answer"));
    assert!(refused(&(question("a", end) + "[[riddles]]")).contains("riddles"));
}

#[test]
fn a_guide_of_ones_own_comes_first_and_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("mine");
    let (_, guide) = built_in();
    guide.export(&own).unwrap();
    let text = std::fs::read_to_string(own.join("guide.toml")).unwrap();
    std::fs::write(
        own.join("guide.toml"),
        text.replace("demo = \"messaging\"", "demo = \"no-such-demo\""),
    )
    .unwrap();
    let catalog = Catalog::load(std::slice::from_ref(&own)).unwrap();
    assert_eq!(catalog.guide().unwrap().id, "mine");
    assert_eq!(catalog.guide_of("choose").unwrap().origin(), "built in");
    assert!(catalog.guide_at(Path::new(&own)).is_some());
    let checked = catalog.guide().unwrap().check(&catalog, Language::Chinese).unwrap();
    assert!(checked.missing.contains(&"no-such-demo".to_owned()) && !checked.passed());
}
