//! Reading a workplan, beside what the Markdown and YAML readers alone need for the same text.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use workplan_engine::document;
use workplan_engine::session::{SourceOptions, load};
use workplan_engine::text::SourceFile;

/// pulldown-cmark over all of it, and the YAML reader over the front matter and each fenced block.
fn readers(text: &str) -> usize {
    let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let (mut events, mut block) = (0, None::<String>);
    for (event, _) in Parser::new_ext(text, options).into_offset_iter() {
        events += 1;
        match event {
            Event::Start(Tag::MetadataBlock(_)) => block = Some(String::new()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info)))
                if matches!(&*info, "task" | "steps") =>
            {
                block = Some(String::new());
            }
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock | TagEnd::MetadataBlock(_)) => {
                if let Some(yaml) = block.take() {
                    events += saphyr_parser::Parser::new_from_str(&yaml).count();
                }
            }
            _ => {}
        }
    }
    events
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    for tasks in [100, 1_000, 10_000] {
        let text = workplan_bench::tasks(tasks);
        let folder = tempfile::tempdir().expect("a folder for the workplan");
        let path = folder.path().join("workplan.md");
        std::fs::write(&path, &text).expect("room for the workplan");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::new("readers", tasks), &text, |b, text| {
            b.iter(|| black_box(readers(text)));
        });
        let file = SourceFile::new(&path, text.as_str());
        group.bench_with_input(BenchmarkId::new("parse", tasks), &file, |b, file| {
            b.iter(|| black_box(document::parse(&Arc::clone(file))));
        });
        let world = workplan_bench::world(PathBuf::new());
        let options = SourceOptions {
            workplan: path.clone(),
            implicit_identity: "state:bench".to_owned(),
            ..SourceOptions::default()
        };
        group.bench_with_input(BenchmarkId::new("parse+plan", tasks), &options, |b, options| {
            b.iter(|| black_box(load(&world, options)).plan.expect("a sound workplan"));
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
