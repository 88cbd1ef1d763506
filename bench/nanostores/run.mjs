// The work of `shared-store/benches/store.rs` with nanostores, under the same names.
//
// `npm ci && npm run bench` in this folder, with Node 20 or later.
// nanostores has one participant and no encoding: values are passed by reference within one heap. The figures of
// "another participant" therefore compare with a plain set, without what crosses between libraries.
import { atom, batch, computed } from 'nanostores'

const WIDTH = 1_000
const WARM_UP = 300
const MEASURE = 2_000

let sink = 0

// Prints the median time of one call: runs of about a millisecond, for two seconds.
function bench(name, work) {
  let until = performance.now() + WARM_UP
  let calls = 0
  while (performance.now() < until) {
    work()
    calls += 1
  }
  const perRun = Math.max(1, Math.round(calls / WARM_UP))
  const times = []
  until = performance.now() + MEASURE
  while (performance.now() < until) {
    const start = process.hrtime.bigint()
    for (let call = 0; call < perRun; call += 1) work()
    times.push(Number(process.hrtime.bigint() - start) / perRun)
  }
  times.sort((a, b) => a - b)
  console.log(`${name.padEnd(62)} ${format(times[times.length >> 1])}`)
}

function format(nanoseconds) {
  return nanoseconds < 1_000 ? `${nanoseconds.toFixed(1)} ns` : `${(nanoseconds / 1_000).toFixed(1)} µs`
}

const signedIn = number => ({
  user: { id: `${number}`, name: 'Ada Lovelace', role: 'engineer', email: 'ada@example.org' },
  is_authenticated: true
})

{
  const $auth = atom(signedIn(1))
  const $count = atom(0)
  const $double = computed($count, count => count * 2)
  $auth.listen(() => {})
  bench('store/read/unchanged Auth of another participant, get', () => {
    sink += $auth.get().is_authenticated
  })
  bench('store/read/unchanged computed, get', () => {
    sink += $double.get()
  })
}

{
  let number = 0
  const $count = atom(0)
  bench('store/set/u64, no listener', () => $count.set((number += 1)))
  const stop = $count.listen(value => {
    sink += value
  })
  bench('store/set/u64, 1 listener', () => $count.set((number += 1)))
  $count.set(0)
  bench('store/set/equal u64, 1 listener', () => $count.set(0))
  stop()
  for (let listener = 0; listener < WIDTH; listener += 1) {
    $count.listen(value => {
      sink += value
    })
  }
  bench('store/set/u64, 1,000 listeners', () => $count.set((number += 1)))
}

{
  let number = 0
  const states = [signedIn(1), signedIn(2)]
  const $auth = atom(states[0])
  $auth.listen(auth => {
    sink += auth.is_authenticated
  })
  bench('store/set/Auth, 1 listener in another participant', () => $auth.set(states[(number += 1) % 2]))
}

{
  let number = 0
  const $count = atom(0)
  const sides = Array.from({ length: WIDTH }, () => computed($count, count => count + 1))
  const $bottom = computed(sides, (...values) => values.reduce((sum, value) => sum + value, 0))
  $bottom.listen(value => {
    sink += value
  })
  bench('store/graph/diamond of 1,000', () => $count.set((number += 1)))
}

{
  let number = 0
  const atoms = Array.from({ length: WIDTH }, () => atom(0))
  const $sum = computed(atoms, (...values) => values.reduce((sum, value) => sum + value, 0))
  $sum.listen(value => {
    sink += value
  })
  bench('store/graph/batch of 1,000 sets, 1 computed', () => {
    number += 1
    batch(() => {
      for (const $atom of atoms) $atom.set(number)
    })
  })
}

if (!Number.isFinite(sink)) throw new Error('the work was not done')
