//! Mistakes in files as a person reads them: the line, the place in it, what was expected, what to do.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::{base::Diagnostic, cli::output};

/// A [`Diagnostic`] in the shape that miette draws.
struct Drawn<'a> {
    diagnostic: &'a Diagnostic,
    source: NamedSource<String>,
}

impl fmt::Debug for Drawn<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(formatter)
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let text = self.diagnostic.source.text();
        let start = self.diagnostic.span.start.min(text.len());
        let end = self.diagnostic.span.end.clamp(start, text.len());
        let label = self.diagnostic.label.clone().unwrap_or_else(|| "here".to_owned());
        Some(Box::new([LabeledSpan::new(Some(label), start, end - start)].into_iter()))
    }
}

/// Returns the mistakes drawn one after the other, then how many there are.
pub(super) fn draw(diagnostics: &[Diagnostic]) -> String {
    let theme = if output::colour() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(120).with_context_lines(1);
    let mut text = String::new();
    for diagnostic in diagnostics {
        let source =
            NamedSource::new(diagnostic.source.name(), diagnostic.source.text().to_owned()).with_language("TOML");
        // Drawing into a String cannot fail; a mistake that miette cannot place is written on one line instead.
        if handler.render_report(&mut text, &Drawn { diagnostic, source }).is_err() {
            text.push_str(&diagnostic.to_string());
            text.push('\n');
        }
    }
    let plural = if diagnostics.len() == 1 { "mistake" } else { "mistakes" };
    text.push_str(&format!("{} {plural}\n", diagnostics.len()));
    text
}
