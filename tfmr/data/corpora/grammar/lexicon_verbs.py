"""The verbs, by the objects they take. The kinds of noun allowed as objects follow the principal parts."""

from tfmr.data.corpora.grammar.dictionary import read_verbs
from tfmr.data.corpora.grammar.entries import EnglishVerb, GermanVerb, Verb

TRANSITIVE = read_verbs(
    """
    eat, ate, eaten | essen, isst, hat gegessen | food cooked baked
    drink, drank, drunk | trinken, trinkt, hat getrunken | drink
    cook | kochen, kocht, hat gekocht | cooked
    bake | backen, backt, hat gebacken | baked
    prepare | zu-bereiten, bereitet, hat zubereitet | cooked cake pizza
    read, read, read | lesen, liest, hat gelesen | text paper
    write, wrote, written | schreiben, schreibt, hat geschrieben | text
    buy, bought, bought | kaufen, kauft, hat gekauft | food drink text paper furniture thing device clothes vehicle
    sell, sold, sold | verkaufen, verkauft, hat verkauft | food text furniture thing device clothes vehicle house hotel
    find, found, found | finden, findet, hat gefunden | thing container clothes animal text building
    look for | suchen, sucht, hat gesucht | thing container clothes animal person text building
    forget, forgot, forgotten | vergessen, vergisst, hat vergessen | thing container clothes text
    lose, lost, lost | verlieren, verliert, hat verloren | thing container clothes
    steal, stole, stolen | stehlen, stiehlt, hat gestohlen | thing container clothes device car bicycle
    carry | tragen, trägt, hat getragen | container furniture
    wash | waschen, wäscht, hat gewaschen | clothes vehicle animal
    repair | reparieren, repariert, hat repariert | vehicle device furniture opening
    paint | malen, malt, hat gemalt | animal person building outdoors
    visit | besuchen, besucht, hat besucht | person building
    meet, met, met | treffen, trifft, hat getroffen | person
    ask | fragen, fragt, hat gefragt | person
    hear, heard, heard | hören, hört, hat gehört | person animal
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

# Actions without duration, which have no progressive form.
SUDDEN = ("find", "forget", "lose", "hear")
# Actions that are not used in requests, or after "like to".
UNWANTED = (*SUDDEN, "steal")

STATIVE = read_verbs(
    """
    see, saw, seen | sehen, sieht, hat gesehen | person animal vehicle thing building outdoors
    know, knew, known | kennen, kennt, hat gekannt | person building outdoors text
    love | lieben, liebt, hat geliebt | person animal
    need | brauchen, braucht, hat gebraucht | thing container clothes device vehicle furniture
    understand, understood, understood | verstehen, versteht, hat verstanden | person text
    have, had, had | haben, hat, hat gehabt | thing container clothes device vehicle animal house
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
    wait | warten, wartet, hat gewartet | person bus train | for | auf | accusative
    think, thought, thought | denken, denkt, hat gedacht | person outdoors | of | an | accusative
    talk | sprechen, spricht, hat gesprochen | person | with | mit | dative
    dance | tanzen, tanzt, hat getanzt | person | with | mit | dative
    laugh | lachen, lacht, hat gelacht | person story | at | über | accusative
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
    laugh | lachen, lacht, hat gelacht | person
    dance | tanzen, tanzt, hat getanzt | person
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

# Two-way prepositions take the dative for a location and the accusative for a destination.
REST = read_verbs(
    """
    lie, lay, lain | liegen, liegt, hat gelegen | text clothes paper key
    stand, stood, stood | stehen, steht, hat gestanden | container glass cup lamp
    """
)
PLACEMENT = read_verbs(
    """
    lay, laid, laid | legen, legt, hat gelegt | text clothes paper key
    place | stellen, stellt, hat gestellt | container glass cup lamp
    """
)

# "The woman likes the book" is "das Buch gefällt der Frau": the English object is the German subject.
PLEASE = Verb(
    EnglishVerb("like", "liked", "liked"),
    GermanVerb("gefallen", "gefällt", "gefallen"),
    ("text", "clothes", "building", "vehicle", "outdoors", "furniture"),
    stative=True,
)

# Verbs that take a clause with that or whether.
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
# Verbs that take an infinitive with zu.
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
# "There is a dog" is "es gibt einen Hund".
EXIST = Verb(BE.english, GermanVerb("geben", "gibt", "gegeben"), stative=True)
RAIN, SNOW, COST = read_verbs(
    """
    rain | regnen, regnet, hat geregnet | none
    snow | schneien, schneit, hat geschneit | none
    cost, cost, cost | kosten, kostet, hat gekostet | none
    """
)
