//! Makes the pictures that the README shows, from the real program in a real terminal:
//! `cargo build && cargo run --example pictures`.
//!
//! A journey is typed, the screen is waited for, and its cells are written as SVG under `docs/`: the main screens, and each
//! demo's scene when its lesson is over. With the ids of demos as arguments only those are made again.
#![allow(
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a script: what goes wrong should stop it and say so"
)]

#[allow(dead_code, reason = "written for the tests, of which this needs a part")]
#[path = "../tests/common/terminal.rs"]
mod terminal;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use terminal::Terminal;
use unicode_width::UnicodeWidthStr;

/// How long a journey waits for a text.
pub const PATIENCE: Duration = Duration::from_secs(60);

const CELL: (f64, f64) = (8.4, 18.0);
const FONT: f64 = 14.0;
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d5d8de";

/// The sixteen colours as a common dark theme has them.
const PALETTE: [&str; 16] = [
    "#2b2f38", "#e0676f", "#8cc570", "#dfb567", "#6aa5e8", "#c07bdb", "#5bb8c4", "#b9bec9", "#6b7280", "#f07f87",
    "#a3d98a", "#f0cd85", "#88bcf5", "#d59bee", "#7bd0db", "#ffffff",
];

fn colour(colour: vt100::Color, default: &str) -> String {
    match colour {
        vt100::Color::Default => default.to_owned(),
        vt100::Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        vt100::Color::Idx(i @ 0..16) => PALETTE[usize::from(i)].to_owned(),
        vt100::Color::Idx(i @ 16..232) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            format!("#{:02x}{:02x}{:02x}", level(i / 36), level(i / 6 % 6), level(i % 6))
        }
        vt100::Color::Idx(i) => {
            let grey = 8 + 10 * (i - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

/// How a cell looks: cells that look alike are drawn as one text.
#[derive(PartialEq, Clone)]
struct Look {
    front: String,
    back: String,
    bold: bool,
    italic: bool,
    underline: bool,
    dim: bool,
}

fn look(cell: &vt100::Cell) -> Look {
    let mut front = colour(cell.fgcolor(), FOREGROUND);
    let mut back = colour(cell.bgcolor(), BACKGROUND);
    if cell.inverse() {
        std::mem::swap(&mut front, &mut back);
    }
    Look {
        front,
        back,
        bold: cell.bold(),
        italic: cell.italic(),
        underline: cell.underline(),
        dim: cell.dim(),
    }
}

/// A run of cells that look alike.
struct Run {
    column: u16,
    width: u16,
    text: String,
    look: Look,
}

fn runs(screen: &vt100::Screen, row: u16, columns: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else { continue };
        if cell.is_wide_continuation() {
            continue;
        }
        let width = if cell.is_wide() { 2 } else { 1 };
        let text = if cell.has_contents() { cell.contents() } else { " " };
        let look = look(cell);
        match runs.last_mut() {
            Some(run) if run.look == look && run.column + run.width == column => {
                run.text.push_str(text);
                run.width += width;
            }
            _ => runs.push(Run {
                column,
                width,
                text: text.to_owned(),
                look,
            }),
        }
    }
    runs
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text between blanks, each with its column: browsers take blanks at the ends of a text for nothing and several for one, and would
/// stretch what is left over the whole length.
fn pieces(text: &str) -> Vec<(u16, &str)> {
    let mut pieces = Vec::new();
    let mut column = 0;
    for piece in text.split("  ") {
        let trimmed = piece.trim_matches(' ');
        if !trimmed.is_empty() {
            let before = piece.len() - piece.trim_start_matches(' ').len();
            pieces.push((column + before as u16, trimmed));
        }
        column += piece.width() as u16 + 2;
    }
    pieces
}

fn draw_run(svg: &mut String, run: &Run, row: u16) -> std::fmt::Result {
    let (x, y) = (f64::from(run.column) * CELL.0, f64::from(row) * CELL.1);
    let width = f64::from(run.width) * CELL.0;
    if run.look.back != BACKGROUND {
        writeln!(
            svg,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}" fill="{}"/>"#,
            CELL.1, run.look.back
        )?;
    }
    if run.text.trim().is_empty() {
        return Ok(());
    }
    let mut style = format!(r#"fill="{}""#, run.look.front);
    if run.look.bold {
        style.push_str(r#" font-weight="bold""#);
    }
    if run.look.italic {
        style.push_str(r#" font-style="italic""#);
    }
    if run.look.underline {
        style.push_str(r#" text-decoration="underline""#);
    }
    if run.look.dim {
        style.push_str(r#" opacity="0.6""#);
    }
    for (column, piece) in pieces(&run.text) {
        let x = x + f64::from(column) * CELL.0;
        let width = piece.width() as f64 * CELL.0;
        writeln!(
            svg,
            r#"<text x="{x:.1}" y="{:.1}" textLength="{width:.1}" lengthAdjust="spacingAndGlyphs" {style}>{}</text>"#,
            y + FONT,
            escape(piece)
        )?;
    }
    Ok(())
}

/// The screen as SVG, every character in its cell whatever font the reader has.
fn svg(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let (width, height) = (f64::from(columns) * CELL.0, f64::from(rows) * CELL.1);
    let mut out = String::new();
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -12 {:.0} {:.0}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="{FONT}">"#,
        width + 24.0,
        height + 24.0
    )
    .expect("a string takes what is written to it");
    writeln!(
        out,
        r#"<rect x="-12" y="-12" width="100%" height="100%" rx="10" fill="{BACKGROUND}"/>"#
    )
    .expect("a string takes what is written to it");
    for row in 0..rows {
        for run in runs(screen, row, columns) {
            draw_run(&mut out, &run, row).expect("a string takes what is written to it");
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Waits until the screen is at rest: a frame that is half written is no picture.
fn settle(terminal: &Terminal) {
    // Without the first row, where a clock runs.
    let body = || terminal.text().split_once('\n').map(|(_, body)| body.to_owned());
    let mut before = None;
    while before != body() {
        before = body();
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn save(terminal: &Terminal, name: &str) {
    settle(terminal);
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name)
        .with_extension("svg");
    std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("docs can be made");
    std::fs::write(&path, terminal.with_screen(svg)).expect("docs can be written");
    println!("{}", path.display());
}

/// The program of the same build as this script.
fn program() -> PathBuf {
    let script = std::env::current_exe().expect("a running program has a file");
    let path = script.ancestors().nth(2).expect("a build folder").join("foldlog");
    assert!(path.is_file(), "no {}: build the program first", path.display());
    path
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.is_empty() {
        screens();
    }
    for id in demos() {
        if wanted.is_empty() || wanted.contains(&id) {
            scene(&id);
        }
    }
}

/// The ids of the demos, in their order.
fn demos() -> Vec<String> {
    let data = tempfile::tempdir().expect("a folder for the broker");
    let out = std::process::Command::new(program())
        .args(["demo", "list", "--json", "--data"])
        .arg(data.path())
        .output()
        .expect("the program runs");
    let lines = String::from_utf8(out.stdout).expect("JSON is text");
    let id = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        row["id"].as_str().expect("a demo has an id").to_owned()
    };
    lines.lines().map(id).collect()
}

/// A demo's scene when its lesson is over, on a broker of its own; of the guide, its first question. Where the flow does not fit, on a
/// wider screen.
fn scene(id: &str) {
    let fits = [140, 170, 200].into_iter().any(|columns| scene_on(id, columns));
    assert!(fits, "the flow of {id} fits no screen");
}

/// Whether the whole flow is in view.
fn scene_on(id: &str, columns: u16) -> bool {
    let data = tempfile::tempdir().expect("a folder for the broker");
    let folder = data.path().to_str().expect("a folder whose name is text");
    let arguments = ["--data", folder, "--lang", "en", "demo", "run", id];
    let mut studio = Terminal::start(&program(), &arguments, &[], columns, 40);
    if id == "choose" {
        studio.wait_for("question 1").keys("j\r").wait_for("question 2");
    } else {
        studio.wait_until("the lesson is over", |screen| {
            let text = screen.contents();
            ["the lesson is over", "checks hold"]
                .iter()
                .any(|end| text.contains(end))
        });
    }
    let fits = !studio.text().contains(" more ▸");
    if fits {
        save(&studio, &format!("demos/{id}"));
    }
    studio.keys("q");
    assert!(studio.wait_exit().success(), "the studio ends well");
    fits
}

fn screens() {
    let data = tempfile::tempdir().expect("a folder for the broker");
    let folder = data.path().to_str().expect("a folder whose name is text");
    let mut studio = Terminal::start(&program(), &["--data", folder, "--lang", "en"], &[], 120, 32);
    studio.wait_for("State is a fold of the log");
    studio.keys("r").wait_for("checks hold");
    studio
        .keys("1")
        .wait_for("account-events")
        .keys("\r")
        .wait_for("newest first")
        .wait_for("Value");
    save(&studio, "records");
    studio.keys("3").wait_for("movement").keys("\r").wait_for("account-001");
    save(&studio, "read-model");
    studio
        .keys("T")
        .wait_for("5,004 of 5,004")
        .keys("t3100\r")
        .wait_for("3,100 of 5,004");
    studio.keys("e").wait_gone("3,100 of 5,004").wait_for("at this moment");
    save(&studio, "time");
    studio.keys("\t\tllB").wait_for("› blame").wait_for("newest first");
    save(&studio, "blame");
    studio
        .keys("\x1b")
        .wait_for("› time")
        .keys("-")
        .wait_for("› what if")
        .wait_for("alike");
    save(&studio, "what-if");
    studio.keys("2").wait_for("Read model");
    save(&studio, "projections");
    studio.keys("L").wait_for("读模型");
    save(&studio, "projections-zh");
    studio.keys("q");
    assert!(studio.wait_exit().success(), "the studio ends well");
}
