//! Events by chance, and yet always the same: ChaCha8 from a seed, and nothing but whole numbers after it.
//!
//! The arithmetic that turns random bits into draws is written here and not taken from `rand`, whose distributions may change
//! with its versions: a lesson's checks state exact numbers.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp as Time;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::record::Timestamp;

use super::events::Event;
use super::manifest::{Draw, EventKind, Generate};
use super::template::Template;

/// What is wrong with a specification, and where.
#[derive(Debug)]
pub(super) struct BadSpec {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

fn bad<T>(span: Range<usize>, message: impl Into<String>, help: &str) -> Result<T, BadSpec> {
    Err(BadSpec {
        span,
        message: message.into(),
        help: help.to_owned(),
    })
}

/// A specification that was checked: it can be run.
#[derive(Debug)]
pub(super) struct Generator {
    spec: Generate,
    start: i64,
    key: Option<Template>,
    first: Option<Kind>,
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    weight: u64,
    draws: Vec<(String, Sort)>,
    gains: Option<String>,
    spends: Option<String>,
    value: Option<Template>,
}

/// What a draw is.
#[derive(Debug)]
enum Sort {
    Number {
        from: i64,
        to: i64,
        step: i64,
        decimals: usize,
    },
    Pick {
        from: Vec<String>,
        skew: u32,
    },
    /// A list for each group, and how many of a hundred are from any.
    ByGroup {
        lists: Vec<Vec<String>>,
        astray: u64,
        skew: u32,
    },
}

/// The largest number of events, gap in milliseconds, number of entities and number of the first: whoever hands on a demo cannot
/// have it take all memory, or more than a time or a number holds.
const MOST: [u64; 4] = [10_000_000, 100 * 366 * 86_400_000, 1_000_000_000_000, 1_000_000_000_000];
/// As many digits of an entity's number at most.
const DIGITS: usize = 30;

/// Names that every template may use: the event's number, its time as text and in milliseconds.
const GIVEN: &[&str] = &["n", "time", "timestamp"];

impl Generator {
    /// Checks a specification that stands at `span` of its manifest.
    pub(super) fn new(spec: &Generate, span: Range<usize>) -> Result<Self, BadSpec> {
        let start: Time = spec.start.get_ref().parse().or_else(|_| {
            bad(
                spec.start.span(),
                "this is not a time",
                "write it as `2024-03-01T09:00:00Z`",
            )
        })?;
        if spec.gap_ms[0] > spec.gap_ms[1] {
            return bad(
                span,
                "`gap_ms` ends before it begins",
                "write the least gap first: `gap_ms = [50, 2000]`",
            );
        }
        let entity = &spec.entity;
        let most = [spec.count as u64, spec.gap_ms[1], *entity.count.get_ref(), entity.first];
        if most.into_iter().zip(MOST).any(|(number, most)| number > most) || entity.digits > DIGITS {
            return bad(
                span,
                "one of these numbers is too large for a demo",
                "at most: `count` 10,000,000, `gap_ms` 100 years, an entity's `count` and `first` 1,000,000,000,000, `digits` 30",
            );
        }
        if *spec.entity.count.get_ref() == 0 {
            return bad(
                spec.entity.count.span(),
                "nobody is there for the events to happen to",
                "`count` is at least 1",
            );
        }
        let key = match &spec.key {
            None => None,
            Some(key) => {
                let template = template(key)?;
                check_names(&template, key.span(), &[&spec.entity.name])?;
                Some(template)
            }
        };
        let mut first = None;
        let mut kinds = Vec::new();
        for kind in &spec.kinds {
            let checked = Kind::new(kind, &spec.entity.name)?;
            if kind.first {
                if first.replace(checked).is_some() {
                    return bad(span, "two kinds are `first`", "an entity's life begins in one way");
                }
            } else {
                kinds.push(checked);
            }
        }
        if !kinds.iter().any(|kind| kind.weight > 0 && kind.spends.is_none()) {
            return bad(
                span,
                "there is no kind of event that can always happen",
                "give a kind a `weight` that is neither `first` nor `spends`",
            );
        }
        Ok(Self {
            spec: spec.clone(),
            start: start.as_millisecond(),
            key,
            first,
            kinds,
        })
    }

    /// The events, the same at every call.
    pub(super) fn events(&self, topic: &str) -> Vec<Event> {
        let mut chance = Chance(ChaCha8Rng::seed_from_u64(self.spec.seed));
        let entities = *self.spec.entity.count.get_ref();
        let mut holdings: BTreeMap<u64, i64> = BTreeMap::new();
        let mut now = self.start;
        let mut out = Vec::with_capacity(self.spec.count);
        for n in 1..=self.spec.count {
            let [least, most] = self.spec.gap_ms;
            now += i64::try_from(least + chance.below(most - least + 1)).unwrap_or(0);
            let entity = chance.skewed(entities, self.spec.entity.skew);
            let known = holdings.get(&entity).copied();
            let (kind, holds) = match (&self.first, known) {
                (Some(first), None) => (first, 0),
                (_, known) => (self.kind(&mut chance, known.unwrap_or(0)), known.unwrap_or(0)),
            };
            let (drawn, change) = kind.draw(&mut chance, entity, holds);
            holdings.insert(entity, holds + change);
            let id = format!(
                "{}{:0digits$}",
                self.spec.entity.prefix,
                self.spec.entity.first + entity,
                digits = self.spec.entity.digits
            );
            let value = |name: &str| match name {
                "n" => Some(n.to_string()),
                "timestamp" => Some(now.to_string()),
                "time" => Time::from_millisecond(now).ok().map(|time| format!("{time:.3}")),
                name if name == self.spec.entity.name => Some(id.clone()),
                name => drawn.get(name).cloned(),
            };
            out.push(Event {
                topic: topic.to_owned(),
                key: self.key.as_ref().map(|key| key.fill(false, value).into_bytes()),
                value: kind
                    .value
                    .as_ref()
                    .map(|template| template.fill(true, value).into_bytes()),
                timestamp: Timestamp(now),
            });
        }
        out
    }

    /// A kind by weight; one that spends what the entity does not hold is drawn again, in the end without such kinds.
    fn kind(&self, chance: &mut Chance, holds: i64) -> &Kind {
        let possible: Vec<&Kind> = self.kinds.iter().filter(|kind| kind.can_spend(holds)).collect();
        let total: u64 = possible.iter().map(|kind| kind.weight).sum();
        let mut at = chance.below(total.max(1));
        for kind in &possible {
            if at < kind.weight {
                return kind;
            }
            at -= kind.weight;
        }
        // `new` made sure that a kind is always possible, and weights add up to `total`.
        possible.first().copied().unwrap_or(&self.kinds[0])
    }
}

impl Kind {
    fn new(kind: &EventKind, entity: &str) -> Result<Self, BadSpec> {
        let mut draws = Vec::new();
        for (name, draw) in &kind.draw {
            if GIVEN.contains(&name.as_str()) || name == entity {
                return bad(
                    draw.span(),
                    format!("`{name}` is given already"),
                    "choose another name for what is drawn",
                );
            }
            draws.push((name.clone(), sort(draw.get_ref(), draw.span())?));
        }
        for spanned in [&kind.gains, &kind.spends].into_iter().flatten() {
            let number =
                |(name, sort): &(String, Sort)| name == spanned.get_ref() && matches!(sort, Sort::Number { .. });
            if !draws.iter().any(number) {
                let message = format!("`{}` is no number that is drawn", spanned.get_ref());
                return bad(
                    spanned.span(),
                    message,
                    "name one of this kind's draws that has `from` and `to`",
                );
            }
        }
        let value = match &kind.value {
            None => None,
            Some(text) => {
                let template = template(text)?;
                let mut names: Vec<&str> = draws.iter().map(|(name, _)| name.as_str()).collect();
                names.push(entity);
                check_names(&template, text.span(), &names)?;
                Some(template)
            }
        };
        Ok(Self {
            weight: u64::from(kind.weight),
            gains: kind.gains.as_ref().map(|name| name.get_ref().clone()),
            spends: kind.spends.as_ref().map(|name| name.get_ref().clone()),
            draws,
            value,
        })
    }

    fn can_spend(&self, holds: i64) -> bool {
        self.spends.as_ref().is_none_or(|spends| {
            let least = self.draws.iter().find_map(|(name, sort)| match sort {
                Sort::Number { from, .. } if name == spends => Some(*from),
                _ => None,
            });
            least.is_some_and(|least| least <= holds)
        })
    }

    /// What is drawn, by name, and by how much the entity's holdings change.
    fn draw(&self, chance: &mut Chance, entity: u64, holds: i64) -> (BTreeMap<&str, String>, i64) {
        let mut drawn = BTreeMap::new();
        let mut change = 0;
        for (name, sort) in &self.draws {
            let text = match sort {
                Sort::Pick { from, skew } => chance.pick(from, *skew),
                Sort::ByGroup { lists, astray, skew } => {
                    let group = match chance.below(100) < *astray {
                        true => chance.below(lists.len() as u64),
                        false => entity % lists.len() as u64,
                    };
                    let list = usize::try_from(group).ok().and_then(|group| lists.get(group));
                    list.map_or_else(String::new, |list| chance.pick(list, *skew))
                }
                Sort::Number {
                    from,
                    to,
                    step,
                    decimals,
                } => {
                    let spends = self.spends.as_deref() == Some(name);
                    let to = if spends { (*to).min(holds) } else { *to };
                    let steps = u64::try_from((to - from) / step).unwrap_or(0);
                    let number = from + step * i64::try_from(chance.below(steps + 1)).unwrap_or(0);
                    if spends {
                        change -= number;
                    } else if self.gains.as_deref() == Some(name) {
                        change += number;
                    }
                    decimal(number, *decimals)
                }
            };
            drawn.insert(name.as_str(), text);
        }
        (drawn, change)
    }
}

fn template(text: &toml::Spanned<String>) -> Result<Template, BadSpec> {
    Template::parse(text.get_ref()).or_else(|message| bad(text.span(), message, "write `${name}`"))
}

fn check_names(template: &Template, span: Range<usize>, known: &[&str]) -> Result<(), BadSpec> {
    match template
        .names()
        .find(|name| !known.contains(name) && !GIVEN.contains(name))
    {
        None => Ok(()),
        Some(name) => {
            let help = format!(
                "there are {}",
                known.iter().chain(GIVEN).copied().collect::<Vec<_>>().join(", ")
            );
            bad(span, format!("nothing is called `{name}` here"), &help)
        }
    }
}

fn sort(draw: &Draw, span: Range<usize>) -> Result<Sort, BadSpec> {
    let help = "a draw is `{ from = 1, to = 9 }`, with `step` and `decimals` where they are wanted; `{ pick = [\"a\", \"b\"] }`; or \
                `{ by_group = [[\"a\"], [\"b\"]] }`, with `astray` of a hundred from any list; both with `skew`";
    let skew = draw.skew.unwrap_or(1);
    match draw {
        Draw {
            from: None,
            to: None,
            step: None,
            decimals: None,
            pick: Some(from),
            by_group: None,
            astray: None,
            ..
        } if !from.is_empty() && skew > 0 => Ok(Sort::Pick {
            from: from.clone(),
            skew,
        }),
        Draw {
            from: None,
            to: None,
            step: None,
            decimals: None,
            pick: None,
            by_group: Some(lists),
            astray,
            ..
        } if !lists.is_empty()
            && lists.iter().all(|list| !list.is_empty())
            && astray.is_none_or(|astray| astray <= 100)
            && skew > 0 =>
        {
            Ok(Sort::ByGroup {
                lists: lists.clone(),
                astray: u64::from(astray.unwrap_or(0)),
                skew,
            })
        }
        Draw {
            from: Some(from),
            to: Some(to),
            step,
            decimals,
            pick: None,
            by_group: None,
            astray: None,
            skew: None,
        } if from <= to && step.unwrap_or(1) > 0 => Ok(Sort::Number {
            from: *from,
            to: *to,
            step: step.unwrap_or(1),
            decimals: decimals.unwrap_or(0).min(18),
        }),
        _ => bad(span, "nothing can be drawn from this", help),
    }
}

/// A whole number with its last digits behind a point.
fn decimal(number: i64, decimals: usize) -> String {
    if decimals == 0 {
        return number.to_string();
    }
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", number.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{sign}{whole}.{fraction}")
}

/// Draws from random bits.
struct Chance(ChaCha8Rng);

impl Chance {
    /// Evenly from `0..n`: the high half of a product, whose bias below 2^-40 nobody can see. No loop, so that every draw
    /// takes the same number of bits.
    fn below(&mut self, n: u64) -> u64 {
        let product = u128::from(self.0.next_u64()) * u128::from(n);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// One of a list, the first more often where `skew` is more than 1.
    fn pick(&mut self, from: &[String], skew: u32) -> String {
        let at = usize::try_from(self.skewed(from.len() as u64, skew)).unwrap_or(0);
        from.get(at).cloned().unwrap_or_default()
    }

    /// The least of `skew` even draws: the first numbers come most.
    fn skewed(&mut self, n: u64, skew: u32) -> u64 {
        (0..skew.clamp(1, 16)).map(|_| self.below(n)).min().unwrap_or(0)
    }
}
