"""Compounds, joined from their parts: kitchen table, Küchentisch.

The first part keeps its own form inside the compound: bare (Apfel-), with
linking letters (Küche-n-, Geschicht-s-, Hühn-er-), or shortened (Schul-,
Kirsch-). Gender and plural are those of the last part, the head.
"""

from tfmr.data.corpora.grammar.dictionary import compounds, read_nouns
from tfmr.data.corpora.grammar.entries import Noun
from tfmr.data.corpora.grammar.lexicon_nouns import BASE_NOUNS

SALAD = read_nouns("cooked", "salad | der Salat, Salate")
JUICE = read_nouns("drink", "juice | der Saft")
DRIVER = read_nouns("person", "driver | der Fahrer, Fahrer")
_HEADS = {noun.english: noun for noun in [*BASE_NOUNS, *SALAD, *JUICE, *DRIVER]}


def _family(kind: str, first_parts: str, heads: str) -> list[Noun]:
    """Joins first parts such as `kitchen=Küchen` with heads, which are named by their English words."""
    parts = dict(part.split("=") for part in first_parts.split())
    return compounds(kind, parts, [_HEADS[head] for head in heads.split()])


JUICES = _family("drink", "apple=Apfel orange=Orangen cherry=Kirsch grape=Trauben tomato=Tomaten", "juice")

COMPOUNDS = [
    *JUICES,
    *_family("baked", "apple=Apfel cherry=Kirsch lemon=Zitronen chocolate=Schokoladen plum=Pflaumen", "cake"),
    *_family("baked", "birthday=Geburtstags wedding=Hochzeits", "cake"),
    *_family("cooked", "potato=Kartoffel tomato=Tomaten onion=Zwiebel vegetable=Gemüse", "soup salad"),
    *_family("cooked", "fish=Fisch chicken=Hühner bean=Bohnen carrot=Karotten", "soup salad"),
    *_family("furniture", "kitchen=Küchen office=Büro garden=Garten wooden=Holz metal=Metall", "table chair"),
    *_family("opening", "kitchen=Küchen church=Kirchen school=Schul cellar=Keller", "door window"),
    *_family("device", "kitchen=Küchen office=Büro garden=Garten work=Arbeits", "lamp"),
    *_family("container", "leather=Leder school=Schul travel=Reise", "bag"),
    *_family("container", "wooden=Holz metal=Metall", "box"),
    *_family("clothes", "winter=Winter summer=Sommer leather=Leder", "coat jacket shoe"),
    *_family("clothes", "silk=Seiden cotton=Baumwoll summer=Sommer", "dress shirt"),
    *_family("text", "history=Geschichts art=Kunst music=Musik school=Schul", "book"),
    *_family("text", "love=Liebes farewell=Abschieds", "letter poem"),
    *_family("text", "newspaper=Zeitungs travel=Reise weather=Wetter work=Arbeits", "report"),
    *_family("text", "adventure=Abenteuer love=Liebes detective=Detektiv", "novel story"),
    *_family("thing", "water=Wasser wine=Wein beer=Bier milk=Milch", "glass bottle"),
    *_family("thing", "coffee=Kaffee tea=Tee", "cup"),
    *_family("thing", "kitchen=Küchen bread=Brot", "knife"),
    *_family("thing", "birthday=Geburtstags wedding=Hochzeits farewell=Abschieds", "present"),
    *_family("thing", "house=Haus car=Auto room=Zimmer cellar=Keller", "key"),
    *_family("building", "art=Kunst history=Geschichts city=Stadt village=Dorf", "museum"),
    *_family("building", "village=Dorf city=Stadt university=Universitäts", "library church"),
    *_family("building", "music=Musik language=Sprach village=Dorf dance=Tanz", "school"),
    *_family("room", "work=Arbeits hotel=Hotel guest=Gäste", "room"),
    *_family("person", "history=Geschichts music=Musik art=Kunst language=Sprach dance=Tanz", "teacher student"),
    *_family("person", "eye=Augen animal=Tier", "doctor"),
    *_family("person", "bus=Bus taxi=Taxi", "driver"),
    # A compound can be the first part of another: apple juice bottle, Apfelsaftflasche.
    *compounds("thing", {juice.english: juice.german for juice in JUICES}, [_HEADS["bottle"], _HEADS["glass"]]),
]
