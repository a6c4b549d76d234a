"""The words of the grammar, as dictionary lines (`entries` says how they are read).

Every noun has a kind, and verbs and adjectives say which kinds go with them,
so that people read books and eat soup. No English word here has two German
ones in the same construction: the English sentence decides the German one.
"""

from tfmr.data.corpora.grammar.entries import (
    EnglishVerb,
    GermanVerb,
    Noun,
    Verb,
    compounds,
    read_adjectives,
    read_nouns,
    read_verbs,
)

MEN = read_nouns(
    "person",
    """
    man, men | der Mann, Männer
    boy | der Junge, Jungen, weak
    father | der Vater, Väter
    brother | der Bruder, Brüder
    son | der Sohn, Söhne
    uncle | der Onkel, Onkel
    friend | der Freund, Freunde
    neighbour | der Nachbar, Nachbarn, weak
    teacher | der Lehrer, Lehrer
    doctor | der Arzt, Ärzte
    student | der Student, Studenten, weak
    colleague | der Kollege, Kollegen, weak
    guest | der Gast, Gäste
    cook | der Koch, Köche
    farmer | der Bauer, Bauern, weak
    king | der König, Könige
    tourist | der Tourist, Touristen, weak
    police officer | der Polizist, Polizisten, weak
    """,
)

WOMEN = read_nouns(
    "person",
    """
    woman, women | die Frau, Frauen
    mother | die Mutter, Mütter
    sister | die Schwester, Schwestern
    daughter | die Tochter, Töchter
    aunt | die Tante, Tanten
    grandmother | die Großmutter, Großmütter
    queen | die Königin, Königinnen
    actress | die Schauspielerin, Schauspielerinnen
    waitress | die Kellnerin, Kellnerinnen
    girl | das Mädchen, Mädchen
    """,
)

CHILDREN = read_nouns(
    "person",
    """
    child, children | das Kind, Kinder
    baby | das Baby, Babys
    """,
)

ANIMALS = read_nouns(
    "animal",
    """
    dog | der Hund, Hunde
    cat | die Katze, Katzen
    horse | das Pferd, Pferde
    bird | der Vogel, Vögel
    cow | die Kuh, Kühe
    rabbit | das Kaninchen, Kaninchen
    bear | der Bär, Bären, weak
    """,
)

FOOD = [
    *read_nouns(
        "food",
        """
        apple | der Apfel, Äpfel
        banana | die Banane, Bananen
        pear | die Birne, Birnen
        biscuit | der Keks, Kekse
        cheese | der Käse
        """,
    ),
    *read_nouns(
        "cooked",
        """
        egg | das Ei, Eier
        sausage | die Wurst, Würste
        potato, potatoes | die Kartoffel, Kartoffeln
        soup | die Suppe, Suppen
        rice | der Reis
        """,
    ),
    *read_nouns(
        "baked",
        """
        bread | das Brot
        cake | der Kuchen, Kuchen
        pizza | die Pizza, Pizzen
        """,
    ),
]

DRINKS = read_nouns(
    "drink",
    """
    water | das Wasser
    milk | die Milch
    coffee | der Kaffee
    tea | der Tee
    wine | der Wein
    beer | das Bier
    """,
)

TEXTS = [
    *read_nouns(
        "text",
        """
        letter | der Brief, Briefe
        poem | das Gedicht, Gedichte
        story | die Geschichte, Geschichten
        report | der Bericht, Berichte
        novel | der Roman, Romane
        book | das Buch, Bücher
        """,
    ),
    *read_nouns("paper", "newspaper | die Zeitung, Zeitungen\nmagazine | die Zeitschrift, Zeitschriften"),
]

FURNITURE = read_nouns(
    "furniture",
    """
    table | der Tisch, Tische
    chair | der Stuhl, Stühle
    bed | das Bett, Betten
    cupboard | der Schrank, Schränke
    """,
)

THINGS = [
    *read_nouns(
        "thing",
        """
        picture | das Bild, Bilder
        key | der Schlüssel, Schlüssel
        umbrella | der Regenschirm, Regenschirme
        present | das Geschenk, Geschenke
        ball | der Ball, Bälle
        flower | die Blume, Blumen
        knife, knives | das Messer, Messer
        plate | der Teller, Teller
        cup | die Tasse, Tassen
        glass | das Glas, Gläser
        """,
    ),
    *read_nouns(
        "container",
        """
        bag | die Tasche, Taschen
        box | die Kiste, Kisten
        suitcase | der Koffer, Koffer
        bottle | die Flasche, Flaschen
        """,
    ),
    *read_nouns(
        "device",
        """
        lamp | die Lampe, Lampen
        computer | der Computer, Computer
        camera | die Kamera, Kameras
        radio | das Radio, Radios
        """,
    ),
    *read_nouns("opening", "door | die Tür, Türen\nwindow | das Fenster, Fenster"),
]

CLOTHES = read_nouns(
    "clothes",
    """
    coat | der Mantel, Mäntel
    jacket | die Jacke, Jacken
    shirt | das Hemd, Hemden
    dress | das Kleid, Kleider
    hat | der Hut, Hüte
    shoe | der Schuh, Schuhe
    """,
)

VEHICLES = read_nouns(
    "vehicle",
    """
    car | das Auto, Autos
    bicycle | das Fahrrad, Fahrräder
    bus | der Bus, Busse
    train | der Zug, Züge
    ship | das Schiff, Schiffe
    """,
)

ROOMS = read_nouns(
    "room",
    """
    kitchen | die Küche, Küchen
    office | das Büro, Büros
    cellar | der Keller, Keller
    room | das Zimmer, Zimmer
    """,
)

BUILDINGS = read_nouns(
    "building",
    """
    house | das Haus, Häuser
    school | die Schule, Schulen
    church | die Kirche, Kirchen
    museum | das Museum, Museen
    hotel | das Hotel, Hotels
    restaurant | das Restaurant, Restaurants
    library | die Bibliothek, Bibliotheken
    hospital | das Krankenhaus, Krankenhäuser
    bakery | die Bäckerei, Bäckereien
    theatre | das Theater, Theater
    """,
)

OUTDOORS = read_nouns(
    "outdoors",
    """
    garden | der Garten, Gärten
    park | der Park, Parks
    forest | der Wald, Wälder
    city | die Stadt, Städte
    village | das Dorf, Dörfer
    """,
)

BASE_NOUNS = [
    *MEN, *WOMEN, *CHILDREN, *ANIMALS, *FOOD, *DRINKS, *TEXTS, *FURNITURE, *THINGS, *CLOTHES, *VEHICLES,
    *ROOMS, *BUILDINGS, *OUTDOORS,
]  # fmt: skip
_BY_NAME = {noun.english: noun for noun in BASE_NOUNS}


def _heads(names: str) -> list[Noun]:
    return [_BY_NAME[name] for name in names.split()]


JUICE = read_nouns("drink", "juice | der Saft")
JUICES = compounds(
    "drink",
    """
    apple | Apfel
    orange | Orangen
    cherry | Kirsch
    grape | Trauben
    tomato | Tomaten
    carrot | Karotten
    """,
    JUICE,
)

# The first part keeps its own form inside the compound: bare (Apfel-), with a linking -n-, -s- or -er-
# (Küchen-, Geschichts-, Kinder-), or shortened (Schul-, Kirsch-).
COMPOUNDS = [
    *JUICES,
    *compounds(
        "baked",
        """
        apple | Apfel
        cherry | Kirsch
        lemon | Zitronen
        chocolate | Schokoladen
        plum | Pflaumen
        carrot | Karotten
        birthday | Geburtstags
        """,
        _heads("cake"),
    ),
    *compounds(
        "cooked",
        """
        potato | Kartoffel
        tomato | Tomaten
        onion | Zwiebel
        vegetable | Gemüse
        carrot | Karotten
        fish | Fisch
        chicken | Hühner
        bean | Bohnen
        """,
        [*_heads("soup"), *read_nouns("cooked", "salad | der Salat, Salate")],
    ),
    *compounds(
        "furniture",
        """
        kitchen | Küchen
        office | Büro
        garden | Garten
        wooden | Holz
        metal | Metall
        """,
        _heads("table chair"),
    ),
    *compounds("opening", "kitchen | Küchen\nchurch | Kirchen\nschool | Schul\ncellar | Keller", _heads("door window")),
    *compounds("device", "kitchen | Küchen\noffice | Büro\ngarden | Garten\nwork | Arbeits", _heads("lamp")),
    *compounds("container", "leather | Leder\nschool | Schul\ntravel | Reise", _heads("bag")),
    *compounds("container", "wooden | Holz\nmetal | Metall", _heads("box")),
    *compounds(
        "clothes",
        """
        winter | Winter
        summer | Sommer
        leather | Leder
        """,
        _heads("coat jacket shoe"),
    ),
    *compounds("clothes", "silk | Seiden\ncotton | Baumwoll\nsummer | Sommer", _heads("dress shirt")),
    *compounds("text", "history | Geschichts\nart | Kunst\nmusic | Musik\nschool | Schul", _heads("book")),
    *compounds("text", "love | Liebes\nfarewell | Abschieds", _heads("letter poem")),
    *compounds("text", "newspaper | Zeitungs\ntravel | Reise\nweather | Wetter\nwork | Arbeits", _heads("report")),
    *compounds("text", "adventure | Abenteuer\nlove | Liebes\ndetective | Detektiv", _heads("novel story")),
    *compounds("thing", "water | Wasser\nwine | Wein\nbeer | Bier\nmilk | Milch", _heads("glass bottle")),
    *compounds("thing", "coffee | Kaffee\ntea | Tee", _heads("cup")),
    *compounds("thing", "kitchen | Küchen\nbread | Brot", _heads("knife")),
    *compounds("thing", "birthday | Geburtstags\nwedding | Hochzeits\nfarewell | Abschieds", _heads("present")),
    *compounds("thing", "house | Haus\ncar | Auto\nroom | Zimmer\ncellar | Keller", _heads("key")),
    # A compound is a first part again: apple juice bottle, Apfelsaftflasche.
    *compounds("thing", "\n".join(f"{n.english} | {n.german}" for n in JUICES), _heads("bottle glass")),
    *compounds("building", "art | Kunst\nhistory | Geschichts\ncity | Stadt\nvillage | Dorf", _heads("museum")),
    *compounds("building", "village | Dorf\ncity | Stadt\nuniversity | Universitäts", _heads("library church")),
    *compounds("building", "music | Musik\nlanguage | Sprach\nvillage | Dorf\ndance | Tanz", _heads("school")),
    *compounds("room", "work | Arbeits\nhotel | Hotel\nguest | Gäste", _heads("room")),
    *compounds(
        "person",
        """
        history | Geschichts
        music | Musik
        art | Kunst
        language | Sprach
        dance | Tanz
        """,
        _heads("teacher student"),
    ),
    *compounds("person", "eye | Augen\nanimal | Tier", _heads("doctor")),
    *compounds("person", "bus | Bus\ntaxi | Taxi", read_nouns("person", "driver | der Fahrer, Fahrer")),
]

TRANSITIVE = read_verbs(
    """
    eat, ate, eaten | essen, isst, hat gegessen | food cooked baked
    drink, drank, drunk | trinken, trinkt, hat getrunken | drink
    cook | kochen, kocht, hat gekocht | cooked
    bake | backen, backt, hat gebacken | baked
    prepare | zu-bereiten, bereitet, hat zubereitet | cooked food
    read, read, read | lesen, liest, hat gelesen | text paper
    write, wrote, written | schreiben, schreibt, hat geschrieben | text
    buy, bought, bought | kaufen, kauft, hat gekauft | food drink text furniture thing device clothes vehicle building
    sell, sold, sold | verkaufen, verkauft, hat verkauft | food text furniture thing device clothes vehicle building
    find, found, found | finden, findet, hat gefunden | thing container clothes animal text room building
    look for | suchen, sucht, hat gesucht | thing container clothes animal person text building
    forget, forgot, forgotten | vergessen, vergisst, hat vergessen | thing container clothes text
    lose, lost, lost | verlieren, verliert, hat verloren | thing container clothes
    steal, stole, stolen | stehlen, stiehlt, hat gestohlen | thing container clothes vehicle device
    carry | tragen, trägt, hat getragen | container furniture
    wash | waschen, wäscht, hat gewaschen | clothes vehicle animal
    repair | reparieren, repariert, hat repariert | vehicle device furniture opening
    paint | malen, malt, hat gemalt | animal person building outdoors
    visit | besuchen, besucht, hat besucht | person building
    meet, met, met | treffen, trifft, hat getroffen | person
    ask | fragen, fragt, hat gefragt | person
    hear, heard, heard | hören, hört, hat gehört | animal person
    feed, fed, fed | füttern, füttert, hat gefüttert | animal
    call | an-rufen, ruft, hat angerufen | person
    invite | ein-laden, lädt, hat eingeladen | person
    pick ~up | ab-holen, holt, hat abgeholt | person container
    bring ~along, brought, brought | mit-bringen, bringt, hat mitgebracht | text container food drink animal
    take ~along, took, taken | mit-nehmen, nimmt, hat mitgenommen | person container animal
    open | auf-machen, macht, hat aufgemacht | opening container
    close | zu-machen, macht, hat zugemacht | opening container
    turn ~on | ein-schalten, schaltet, hat eingeschaltet | device
    turn ~off | aus-schalten, schaltet, hat ausgeschaltet | device
    try ~on | an-probieren, probiert, hat anprobiert | clothes
    throw ~away, threw, thrown | weg-werfen, wirft, hat weggeworfen | clothes paper food thing
    borrow | aus-leihen, leiht, hat ausgeliehen | text vehicle device
    tidy ~up | auf-räumen, räumt, hat aufgeräumt | room
    """
)

STATIVE = read_verbs(
    """
    see, saw, seen | sehen, sieht, hat gesehen | person animal vehicle thing building outdoors
    know, knew, known | kennen, kennt, hat gekannt | person building outdoors text
    love | lieben, liebt, hat geliebt | person animal
    need | brauchen, braucht, hat gebraucht | thing container clothes device vehicle furniture
    understand, understood, understood | verstehen, versteht, hat verstanden | person text
    have, had, had | haben, hat, hat gehabt | thing container clothes device vehicle animal building
    """,
    stative=True,
)

DATIVE = read_verbs(
    """
    help | helfen, hilft, hat geholfen | person
    thank | danken, dankt, hat gedankt | person
    follow | folgen, folgt, ist gefolgt | person animal
    answer | antworten, antwortet, hat geantwortet | person
    congratulate | gratulieren, gratuliert, hat gratuliert | person
    listen to | zu-hören, hört, hat zugehört | person
    """
)

DITRANSITIVE = read_verbs(
    """
    give, gave, given | geben, gibt, hat gegeben | thing container text drink food
    show, showed, shown | zeigen, zeigt, hat gezeigt | thing text building room animal clothes vehicle
    send, sent, sent | schicken, schickt, hat geschickt | text thing
    bring, brought, brought | bringen, bringt, hat gebracht | drink food cooked text clothes
    lend, lent, lent | leihen, leiht, hat geliehen | thing text vehicle clothes
    """
)

PREPOSITIONAL = read_verbs(
    """
    wait | warten, wartet, hat gewartet | person vehicle | for | auf | accusative
    think, thought, thought | denken, denkt, hat gedacht | person outdoors | of | an | accusative
    talk | sprechen, spricht, hat gesprochen | person | with | mit | dative
    dance | tanzen, tanzt, hat getanzt | person | with | mit | dative
    laugh | lachen, lacht, hat gelacht | person story | about | über | accusative
    dream, dreamt, dreamt | träumen, träumt, hat geträumt | person building animal | of | von | dative
    play | spielen, spielt, hat gespielt | animal ball | with | mit | dative
    """
)

INTRANSITIVE = read_verbs(
    """
    sleep, slept, slept | schlafen, schläft, hat geschlafen | person
    work | arbeiten, arbeitet, hat gearbeitet | person
    sing, sang, sung | singen, singt, hat gesungen | person
    cry | weinen, weint, hat geweint | person
    sit, sat, sat | sitzen, sitzt, hat gesessen | person
    wait | warten, wartet, hat gewartet | person
    swim, swam, swum | schwimmen, schwimmt, ist geschwommen | person
    get ~up, got, got | auf-stehen, steht, ist aufgestanden | person
    fall ~asleep, fell, fallen | ein-schlafen, schläft, ist eingeschlafen | person
    come ~back, came, come | zurück-kommen, kommt, ist zurückgekommen | person
    arrive | an-kommen, kommt, ist angekommen | person
    """
)

MOTION = read_verbs(
    """
    go, went, gone | gehen, geht, ist gegangen | person
    drive, drove, driven | fahren, fährt, ist gefahren | person
    run, ran, run | laufen, läuft, ist gelaufen | person
    """
)

TRAVEL = read_verbs(
    """
    travel, travelled, travelled | reisen, reist, ist gereist | person
    fly, flew, flown | fliegen, fliegt, ist geflogen | person
    """
)

# Two-way prepositions: where a thing is takes the dative, where it is put the accusative.
REST = read_verbs(
    """
    lie, lay, lain | liegen, liegt, hat gelegen | text clothes paper
    stand, stood, stood | stehen, steht, hat gestanden | container furniture
    """
)
PLACEMENT = read_verbs(
    """
    lay, laid, laid | legen, legt, hat gelegt | text clothes paper
    place | stellen, stellt, hat gestellt | container
    """
)

# "The woman likes the book" is "das Buch gefällt der Frau": the English object is the German subject.
PLEASE = Verb(
    EnglishVerb("like", "liked", "liked"),
    GermanVerb("gefallen", "gefällt", "gefallen"),
    ("text", "clothes", "building", "vehicle", "outdoors", "furniture"),
    stative=True,
)

# Verbs of a clause: that, whether, or an infinitive with zu.
SAY = read_verbs(
    """
    say, said, said | sagen, sagt, hat gesagt | that
    think, thought, thought | glauben, glaubt, hat geglaubt | that
    hope | hoffen, hofft, hat gehofft | that
    know, knew, known | wissen, weiß, hat gewusst | that whether
    ask | fragen, fragt, hat gefragt | whether
    """,
    stative=True,
)
TRY = read_verbs(
    """
    try | versuchen, versucht, hat versucht | zu
    promise | versprechen, verspricht, hat versprochen | zu
    forget, forgot, forgotten | vergessen, vergisst, hat vergessen | zu
    decide | beschließen, beschließt, hat beschlossen | zu
    hope | hoffen, hofft, hat gehofft | zu
    """,
    stative=True,
)

BE = Verb(EnglishVerb("be", "was", "been", auxiliary=True), GermanVerb("sein", "ist", "gewesen", "sein"), stative=True)
EXIST = Verb(BE.english, GermanVerb("geben", "gibt", "gegeben"), stative=True)
RAIN, SNOW, COST = read_verbs(
    """
    rain | regnen, regnet, hat geregnet | none
    snow | schneien, schneit, hat geschneit | none
    cost, cost, cost | kosten, kostet, hat gekostet | none
    """
)

ADJECTIVES = read_adjectives(
    """
    old, older | alt, älter | person animal vehicle building furniture text clothes outdoors room device
    young, younger | jung, jünger | person animal
    small, smaller | klein, kleiner | person animal vehicle building furniture thing container outdoors room device
    big, bigger | groß, größer | animal vehicle building furniture thing container outdoors room opening
    new, newer | neu, neuer | vehicle building furniture text clothes thing container device opening
    beautiful, more beautiful | schön, schöner | thing clothes building outdoors room opening animal
    expensive, more expensive | teuer, teurer, teur | thing clothes vehicle furniture device building
    cheap, cheaper | billig, billiger | thing clothes vehicle furniture device container
    heavy, heavier | schwer, schwerer | furniture container device
    interesting, more interesting | interessant, interessanter | text paper
    boring, more boring | langweilig, langweiliger | text paper
    long, longer | lang, länger | text
    famous, more famous | berühmt, berühmter | person building text
    rich, richer | reich, reicher | person
    strong, stronger | stark, stärker | person animal
    friendly, friendlier | freundlich, freundlicher | person animal
    happy, happier | glücklich, glücklicher | person
    clever, cleverer | klug, klüger | person animal
    tired | müde, müder, müd | person animal
    sad | traurig | person
    ill | krank | person animal
    hungry | hungrig | person animal
    broken | kaputt | vehicle device opening furniture
    fresh | frisch | food baked
    sweet | süß | food baked
    hot | heiß | cooked
    cold | kalt | drink cooked
    good | gut | text drink food cooked baked
    dirty | schmutzig | clothes vehicle room container opening
    dark | dunkel, dunkler, dunkl | room outdoors
    red | rot | clothes thing vehicle container opening
    blue | blau | clothes thing vehicle container
    green | grün | clothes thing vehicle container opening
    black | schwarz | clothes animal vehicle container
    white | weiß | clothes animal furniture opening
    """
)

MALE_NAMES = ["Peter", "Paul", "David", "Martin", "Simon", "Robert", "Daniel", "Oliver"]
FEMALE_NAMES = ["Anna", "Maria", "Lisa", "Sarah", "Julia", "Emma", "Clara", "Helena"]

CITIES = [
    ("Berlin", "Berlin"), ("Hamburg", "Hamburg"), ("London", "London"), ("Paris", "Paris"),
    ("Vienna", "Wien"), ("Munich", "München"), ("Cologne", "Köln"), ("Rome", "Rom"),
    ("Italy", "Italien"), ("France", "Frankreich"), ("Poland", "Polen"), ("Spain", "Spanien"),
]  # fmt: skip
