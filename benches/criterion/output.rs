//! Taking secrets out of output.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use workplan_engine::process::Redactor;

fn redact(c: &mut Criterion) {
    let line = b"2026-01-01T00:00:00Z INFO copied 4711 rows of table `repository` in 12 ms\n";
    let text: Vec<u8> = line.iter().copied().cycle().take(1 << 20).collect();
    let mut group = c.benchmark_group("redact 1 MiB");
    group.throughput(Throughput::Bytes(text.len() as u64));
    for secrets in [0, 1, 8] {
        let all: Vec<String> = (0..secrets).map(|n| format!("correct-horse-{n}-battery")).collect();
        let redactor = Arc::new(Redactor::new(&all));
        group.bench_function(format!("{secrets} secrets"), |b| {
            b.iter(|| {
                let mut stream = redactor.stream();
                let shown: usize =
                    text.chunks(64 * 1024).map(|piece| stream.push(piece).len()).sum();
                black_box(shown + stream.finish().len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, redact);
criterion_main!(benches);
